"""The file of tests beside a policy, `payouts.test.yaml`, as people write it; see `load` for what it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt, StrictStr, model_validator

from paycordon.decisions import CheckError, ErrorKind, Finding, Outcome, Scalar
from paycordon.events import OpaqueId, Text
from paycordon.policy.bindings import BindingDocument, BindingMode
from paycordon.policy.cases.partial import PartialEvent, Time
from paycordon.policy.document import ListItem, Name, ParamValue, Part, PolicyName, Prose, RuleId, TypologyName

MAX_PAST = 10_000
"""The most events that a case's history may stand for."""
CHECK = "case"
"""The check that findings of a case come from, if it says nothing else."""


def _finding(value: object) -> object:
    return {"code": value} if isinstance(value, str) else value


def _check_error(value: object) -> object:
    return {"check": value} if isinstance(value, str) else value


def _item(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


class FindingDocument(Part):
    """What a check concluded: a code, or a code with its confidence and evidence."""

    code: Annotated[str, *Finding.model_fields["code"].metadata]
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    """Between 0 and 1."""
    evidence: dict[str, Scalar] = {}
    check: OpaqueId = CHECK

    def finding(self) -> Finding:
        """The finding as the policy sees it."""
        return Finding(check=self.check, code=self.code, confidence=self.confidence, evidence=self.evidence)


class CheckErrorDocument(Part):
    """A check without a conclusion: its id, or its id with what went wrong."""

    check: OpaqueId
    kind: ErrorKind = ErrorKind.RAISED
    detail: Text = ""

    def error(self) -> CheckError:
        """The error as the policy sees it."""
        return CheckError(check=self.check, kind=self.kind, detail=self.detail)


_Finding = Annotated[FindingDocument, BeforeValidator(_finding, json_schema_input_type=str | FindingDocument)]
_CheckError = Annotated[
    CheckErrorDocument, BeforeValidator(_check_error, json_schema_input_type=str | CheckErrorDocument)
]
_Item = Annotated[ListItem, BeforeValidator(_item, json_schema_input_type=str | ListItem)]


class CaseBinding(BindingDocument):
    """The binding under which a case is judged; written as in `bindings.yaml`, but without segments.

    `id` decides, with the merchant, whom a rollout reaches.
    """

    id: RuleId = "case"
    policy: PolicyName = "case"
    mode: BindingMode = BindingMode.ENFORCE


if TYPE_CHECKING:
    PastEvent = PartialEvent
else:

    class PastEvent(PartialEvent):
        """An event that was recorded before; `{n}` in a text stands for the number of the repetition, from 1."""

        times: Annotated[StrictInt, Field(ge=1, le=MAX_PAST)] = 1
        every: Time | None = None


AggregateValue = StrictInt | StrictFloat | StrictStr | None


class ExpectDocument(Part):
    """What has to come out; what is left out is not compared, but errors that are not expected always count."""

    outcome: Outcome | None = None
    rules: tuple[StrictStr, ...] | None = None
    """Exactly the rules that match, those in shadow not included: ids, `typology.NAME`, `on_error`, `standing_hold`."""
    includes: tuple[StrictStr, ...] = ()
    """Rules that match, whatever else does."""
    excludes: tuple[StrictStr, ...] = ()
    """Rules that do not match, whatever else does."""
    merchant_reason: StrictStr | None = None
    """What the merchant may be told; an empty text for nothing."""
    scores: dict[TypologyName, StrictInt] = {}
    """The points of typologies; none is 0."""
    shadow: Outcome | None = None
    """The outcome if all that runs in shadow were enforced too; fails if nothing runs in shadow."""
    errors: tuple[StrictStr, ...] = ()
    """Exactly the rules without an answer."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("expect at least an `outcome` or `rules`")
        return self


class SituationDocument(Part):
    """What is given; everything that is left out is ordinary: no findings, no history, no holds in force."""

    event: PartialEvent | None = None
    """Only what matters of the event; the rest is filled in."""
    findings: tuple[_Finding, ...] | None = None
    check_errors: tuple[_CheckError, ...] | None = None
    history: tuple[PastEvent, ...] | None = None
    """Events that were recorded before, in this order; the aggregates are computed from them."""
    aggregates: dict[Name, AggregateValue] = {}
    """Values instead of computed ones: a number, `2h` for a duration, `-3d` for a time, null for none."""
    lists: dict[Name, Annotated[tuple[_Item, ...], Field(max_length=1_000)]] = {}
    """What the policy's lists hold that are kept in files or in the store; one that is not named is empty."""
    params: dict[Name, ParamValue] = {}
    """Parameters as a binding would override them."""
    binding: CaseBinding | None = None
    """How the policy applies; without it, it is enforced."""
    merchant: OpaqueId | None = None
    """Whom the event belongs to; by default the event's own word."""
    standing: Outcome | None = None
    """The most severe outcome of the holds that are in force already."""


class VariantDocument(SituationDocument):
    """The same case but for a small change, and what then has to come out."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    description: Prose = ""
    expect: ExpectDocument


class CaseDocument(VariantDocument):
    """One test: a situation, and what has to come out. `but` are near misses, each with its own small change."""

    but: Annotated[tuple[VariantDocument, ...], Field(max_length=200)] = ()


class CasesDocument(Part):
    """A whole file of tests, `NAME.test.yaml` beside the policy `NAME.yaml`.

    `defaults` is laid under every case.
    """

    defaults: SituationDocument = SituationDocument()
    cases: Annotated[tuple[CaseDocument, ...], Field(min_length=1, max_length=2_000)]


def schema() -> dict[str, Any]:
    """The JSON Schema of a file of tests, for editors."""
    return CasesDocument.model_json_schema(mode="validation")
