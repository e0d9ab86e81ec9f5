"""Where policies apply and how hard: `bindings.yaml`, beside the policies and separate from them.

Without the file every policy is enforced on everything. With it a policy that no binding names judges nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from paycordon.decisions import PolicyRef
from paycordon.documents import Document, Problem, did_you_mean, document_from, error_from, problems_of
from paycordon.errors import PolicyError, Position
from paycordon.events import Event
from paycordon.policy.cel import Conditions, ExpressionInvalid, Language, Param, Unclear
from paycordon.policy.document import Moment, Name, ParamValue, Part, PolicyName, Prose, RuleId

BINDINGS = "bindings"
RuleIds = Mapping[str, Collection[str]]
_MCC_RANGE = r"^\d{4}(-\d{4})?$"


class BindingMode(StrEnum):
    """How hard a policy applies."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


def _percent(value: object) -> object:
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1])
        except ValueError:
            return value
    return value


def _mcc_range(value: str) -> str:
    first, _, last = value.partition("-")
    if last and last < first:
        raise ValueError("the range ends before it begins")
    return value


_PERCENT_SCHEMA = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 100}, {"pattern": r"^\d+(\.\d+)?%$"}]}
Percent = Annotated[float, BeforeValidator(_percent), Field(ge=0, le=100), WithJsonSchema(_PERCENT_SCHEMA)]
Country = Annotated[StrictStr, Field(pattern=r"^[A-Z]{2}$")]
Mcc = Annotated[StrictStr, Field(pattern=_MCC_RANGE), AfterValidator(_mcc_range)]


class CapsDocument(Part):
    """`caps:`: how many decisions of one binding may hold or block within an hour, by number and by share.

    `share_percent` counts once at least `from_screened` decisions were made under the binding within the hour. Rules
    that need a finding with a code in `exempt` hold and block whatever the caps are.
    """

    holds_per_hour: Annotated[StrictInt | None, Field(ge=0)] = None
    blocks_per_hour: Annotated[StrictInt | None, Field(ge=0)] = None
    share_percent: Percent | None = None
    from_screened: Annotated[StrictInt, Field(ge=1)] = 100
    exempt: tuple[StrictStr, ...] = ()


class BindingDocument(Part):
    """One entry of `bindings:`; what is left out does not narrow."""

    id: RuleId
    """Names the binding in decisions."""
    policy: PolicyName
    """The policy it binds."""
    mode: BindingMode
    """`enforce`, `shadow` (judged and recorded, without effect) or `off`."""
    gateways: tuple[StrictStr, ...] = ()
    """Adapters, such as `stripe`."""
    instances: tuple[StrictStr, ...] = ()
    """Connections, by their names in `paycordon.yaml`."""
    countries: tuple[Country, ...] = ()
    """Of the merchant; one that is not known is not excluded."""
    mccs: tuple[Mcc, ...] = ()
    """Merchant categories, or ranges such as `5960-5969`."""
    segments: tuple[Name, ...] = ()
    """Names of `segments:`; all of them must hold."""
    when: StrictStr | None = None
    """CEL over `event`."""
    rollout: Percent = 100.0
    """The share of merchants it is enforced on, the same ones for ever; the others stay in shadow."""
    since: Moment = None
    """Counts for events from here on."""
    until: Moment = None
    """Counts for events before."""
    params: dict[Name, ParamValue] = {}
    """What it sets instead of the policy's own parameters."""
    rules: dict[RuleId, Literal[BindingMode.SHADOW, BindingMode.OFF]] = {}
    """Rules that stay in `shadow` or `off`."""
    caps: CapsDocument | None = None
    """How much it may stop within an hour."""
    description: Prose = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.until and self.until <= self.since:
            raise ValueError("`until` is not after `since`")
        return self


class BindingsDocument(Part):
    """A whole `bindings.yaml`."""

    segments: dict[Name, StrictStr] = {}
    bindings: Annotated[tuple[BindingDocument, ...], Field(min_length=1, max_length=500)]


@dataclass(frozen=True)
class Binding:
    """A loaded binding: what it selects, and how hard its policy then applies.

    What an event does not say, such as the merchant's country, never excludes it.
    """

    written: BindingDocument
    position: Position
    selector: Conditions | None = field(repr=False, compare=False, default=None)
    id: str = ""
    mcc_ranges: tuple[tuple[str, str], ...] = ()

    @property
    def policy(self) -> str:
        """The name of the policy it binds."""
        return self.written.policy

    @property
    def mode(self) -> BindingMode:
        """How hard, for the merchants it is rolled out to."""
        return self.written.mode

    def selects(self, event: Event, variables: Mapping[str, Any]) -> bool | Unclear:
        """Tell whether the policy applies to an event bound as `variables`; `Unclear` if there is no answer."""
        written = self.written
        if not _within(event.occurred_at, written.since, written.until):
            return False
        country = event.merchant.country or event.account.country
        narrowed = (
            not written.gateways or event.gateway in written.gateways,
            not written.instances or event.instance in written.instances,
            not written.countries or country is None or country in written.countries,
            not self.mcc_ranges or event.merchant.mcc is None or self._has_mcc(event.merchant.mcc),
        )
        if not all(narrowed):
            return False
        return True if self.selector is None else _all(self.selector.evaluate(variables))

    def mode_for(self, merchant: str) -> BindingMode:
        """How hard it applies to one merchant: those outside of the rollout stay in shadow."""
        if self.mode is BindingMode.ENFORCE and not self._rolled_out_to(merchant):
            return BindingMode.SHADOW
        return self.mode

    def _rolled_out_to(self, merchant: str) -> bool:
        """The same merchants for ever, and always more of them as the percentage grows."""
        if self.written.rollout >= 100:
            return True
        digest = hashlib.sha256(f"{self.id}\x00{merchant}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % 1_000_000 < self.written.rollout * 10_000

    def _has_mcc(self, mcc: str) -> bool:
        return any(first <= mcc <= last for first, last in self.mcc_ranges)


@dataclass(frozen=True)
class Bindings:
    """All bindings of a deployment, by the name of the policy."""

    ref: PolicyRef
    by_policy: Mapping[str, tuple[Binding, ...]]
    file: Path | str

    def __iter__(self) -> Iterator[Binding]:
        """All bindings, in the order of the file."""
        every = [binding for bound in self.by_policy.values() for binding in bound]
        return iter(sorted(every, key=lambda binding: (binding.position.line, binding.position.column)))


def bindings_from(
    content: bytes,
    file: Path | str,
    params: Mapping[str, Mapping[str, Param]],
    rules: RuleIds,
    fixed: RuleIds = MappingProxyType({}),
) -> Bindings:
    """Read, check and compile the bytes of a `bindings.yaml`.

    Args:
        content: the file's bytes.
        file: its name, for positions.
        params: the parameters of each policy, by the policy's name; bindings may only override these, by their kind.
        rules: the ids of the rules of each policy, by the policy's name.
        fixed: the parameters of each policy that its aggregates use, which cannot differ between bindings.

    Raises:
        PolicyError: with the file, line and column of every problem found.
    """
    document = document_from(content, file, error=PolicyError)
    try:
        written = BindingsDocument.model_validate(document.data)
    except ValidationError as invalid:
        raise error_from(problems_of(invalid, BindingsDocument, document), PolicyError) from None
    language = Language({}, ())
    problems = [*_problems(written, document, params, rules, fixed), *_faults(written, document, language)]
    if problems:
        raise error_from(problems, PolicyError)
    by_policy: dict[str, list[Binding]] = {}
    for index, each in enumerate(written.bindings):
        sources = [*(written.segments[name] for name in each.segments), *([each.when] if each.when else [])]
        binding = Binding(
            written=each,
            id=each.id,
            position=document.position(("bindings", index, "id")),
            selector=language.conditions(sources) if sources else None,
            mcc_ranges=tuple((mcc[:4], mcc[-4:]) for mcc in each.mccs),
        )
        by_policy.setdefault(each.policy, []).append(binding)
    ref = PolicyRef(name=BINDINGS, version=1, digest=hashlib.sha256(content).hexdigest())
    return Bindings(ref, MappingProxyType({name: tuple(bound) for name, bound in by_policy.items()}), file)


def _within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def _all(answers: list[bool | Unclear]) -> bool | Unclear:
    if any(answer is False for answer in answers):
        return False
    return next((answer for answer in answers if isinstance(answer, Unclear)), True)


def _problems(
    written: BindingsDocument,
    document: Document,
    params: Mapping[str, Mapping[str, Param]],
    rules: RuleIds,
    fixed: RuleIds,
) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, each in enumerate(written.bindings):
        at = ("bindings", index)
        if each.id in seen:
            yield Problem(document.position((*at, "id")), f"the binding id `{each.id}` is given twice")
        seen.add(each.id)
        if each.policy not in params:
            hint = did_you_mean(each.policy, sorted(params))
            yield Problem(document.position((*at, "policy")), f"there is no policy `{each.policy}`", hint)
            continue
        yield from _overrides(each, at, document, params[each.policy], rules[each.policy])
        for name in each.params:
            if name in fixed.get(each.policy, ()):
                position = document.position((*at, "params", name), key=True)
                message = f"aggregates of `{each.policy}` use `{name}`, which is the same under each binding"
                yield Problem(position, message, "change it in the policy, or in a copy of it")
        for place, name in enumerate(each.segments):
            if name not in written.segments:
                hint = did_you_mean(name, sorted(written.segments))
                yield Problem(document.position((*at, "segments", place)), f"there is no segment `{name}`", hint)


def _overrides(
    each: BindingDocument,
    at: tuple[str | int, ...],
    document: Document,
    params: Mapping[str, Param],
    rules: Collection[str],
) -> Iterator[Problem]:
    for name, value in each.params.items():
        position = document.position((*at, "params", name), key=True)
        if name not in params:
            message = f"the policy `{each.policy}` has no parameter `{name}`"
            yield Problem(position, message, did_you_mean(name, sorted(params)))
        elif kind_of(value) != kind_of(params[name]):
            message = f"the parameter `{name}` of `{each.policy}` is of another kind"
            yield Problem(position, message, f"write {kind_of(params[name])}")
    for name in each.rules:
        if name not in rules:
            position = document.position((*at, "rules", name), key=True)
            message = f"the policy `{each.policy}` has no rule `{name}`"
            yield Problem(position, message, did_you_mean(name, sorted(rules)))


def kind_of(value: Param) -> str:
    """Name the kind of a parameter for a person."""
    if isinstance(value, tuple):
        return f"a list of {kind_of(value[0])}"
    names = {bool: "true or false", int: "a whole number", float: "a fraction", str: "a text"}
    return names.get(type(value), "an amount" if type(value).__name__ == "Money" else "a duration such as `14d`")


def _faults(written: BindingsDocument, document: Document, language: Language) -> Iterator[Problem]:
    sources: list[tuple[tuple[str | int, ...], str]] = [
        (("segments", name), source) for name, source in written.segments.items()
    ]
    sources += [(("bindings", i, "when"), each.when) for i, each in enumerate(written.bindings) if each.when]
    for loc, source in sources:
        try:
            language.check(source)
        except ExpressionInvalid as invalid:
            for fault in invalid.faults:
                yield Problem(document.position_in(loc, fault.line, fault.column), fault.message, fault.hint)
