"""The policy file as people write it; see `load` for what it becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from paycordon.aggregates.document import PARAM, AggregateDocument, parse_money
from paycordon.decisions import Outcome, Scope
from paycordon.documents import did_you_mean
from paycordon.events import EventType, Stage
from paycordon.policy.cel import RESERVED, Param

SCREENABLE = tuple(str(type_) for type_ in EventType if not type_.startswith(f"{Stage.PAYMENT}."))
_MONEY = re.compile(r"^-?\d{1,12}(?:\.\d{1,4})? [A-Z]{3}$")
_DURATION = re.compile(r"^(\d{1,4})([mhd])$")
_EVENT_TYPES = WithJsonSchema({"type": "string", "enum": list(SCREENABLE)})
_DURATION_SCHEMA = {"type": "string", "pattern": _DURATION.pattern, "examples": ["72h", "14d"]}
_MOMENT_SCHEMA = {"type": "string", "description": "a date (its first moment in UTC), or a time with a zone"}
_SCALARS = ["boolean", "number", "string"]
_PARAM_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": _SCALARS}, {"type": "array", "items": {"type": _SCALARS}, "minItems": 1}],
    "description": "a number, a text, true or false, `200 EUR`, `14d`, or a list of one such kind",
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"`{name}` is a word of the expression language; choose another name")
    return name


def _screenable(name: str) -> str:
    if name in SCREENABLE:
        return name
    if name in list(EventType):
        raise ValueError(f"`{name}` is context and cannot be stopped; rules run on {_listed(SCREENABLE)}")
    hint = did_you_mean(name, SCREENABLE)
    raise ValueError(f"there is no event type `{name}`; " + (hint or f"known are {_listed(SCREENABLE)}"))


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def parse_param(value: object) -> Param:
    """Read a parameter: a truth value, a number, `200 EUR`, `14d`, any other text, or a list of one kind of these.

    Raises:
        ValueError: it is none of these, or an amount of an unknown currency or with too many decimals.
    """
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, list) and value:
        items = tuple(parse_param(item) for item in value)
        if all(type(item) is type(items[0]) and isinstance(item, bool | int | float | str) for item in items):
            return items  # type: ignore[return-value]  # checked on the line above, item by item
    raise ValueError("a parameter is a number, a text, true or false, `200 EUR`, `14d`, or a list of one such kind")


def _parse_text(text: str) -> Param:
    if _MONEY.match(text):
        return parse_money(text)
    if found := _DURATION.match(text):
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    return text


def _read_param(value: object) -> Param:
    return parse_param(value)


def _read_duration(value: object) -> timedelta:
    found = _parse_text(value) if isinstance(value, str) else None
    if not isinstance(found, timedelta) or not found:
        raise ValueError("a duration is written as `30m`, `72h` or `14d`")
    return found


def _item(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


def _moment(value: object) -> object:
    """Read a date as its first moment in UTC."""
    if isinstance(value, str):
        try:
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        except ValueError:
            return value
    return value


Moment = Annotated[AwareDatetime | None, BeforeValidator(_moment), WithJsonSchema(_MOMENT_SCHEMA)]
PolicyName = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
RuleId = Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Name = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$"), AfterValidator(_not_reserved)]
Reason = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_]{2,62}$")]
Prose = Annotated[StrictStr, Field(max_length=2_000)]
ParamValue = Annotated[Any, BeforeValidator(_read_param), WithJsonSchema(_PARAM_SCHEMA)]
TypologyName = Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Points = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Duration = Annotated[timedelta, BeforeValidator(_read_duration), WithJsonSchema(_DURATION_SCHEMA)]


class Part(BaseModel):
    """Base of all parts of files that risk teams write: closed to unknown keys; errors never repeat values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class ListItem(Part):
    """One item of a list: a value, until when it counts (a date: to its first moment, UTC), why it is there."""

    value: Annotated[StrictStr, Field(min_length=1, max_length=255)]
    until: Moment = None
    reason: Prose = ""


_Item = Annotated[
    ListItem,
    BeforeValidator(_item),
    WithJsonSchema({"anyOf": [{"type": "string"}, ListItem.model_json_schema()]}),
]


class ListDocument(Part):
    """A set of texts under `lists:`, for `listed(…, lists.name)`: exactly one of `items`, `file` and `store`.

    `file` is a CSV file with the columns `value`, `until`, `reason` beside the policy; `store` is the name of a list
    that is kept in the database (`paycordon list`).
    """

    items: Annotated[tuple[_Item, ...] | None, Field(max_length=10_000)] = None
    file: Annotated[StrictStr | None, Field(min_length=1, max_length=255)] = None
    store: Name | None = None
    description: Prose = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.items, self.file, self.store)) != 1:
            raise ValueError("exactly one of `items`, `file` and `store` is needed")
        return self


class Status(StrEnum):
    """How far a rule is to be trusted; `unverified`: what it rests on could not be read in its source."""

    UNVERIFIED = "unverified"
    EXPERIMENTAL = "experimental"
    TEST = "test"
    STABLE = "stable"


class Weight(StrEnum):
    """What a rule weighs: `hard` is a fact of its own, such as a listing; `soft` is what honest people do as well."""

    HARD = "hard"
    SOFT = "soft"


class RuleDocument(Part):
    """One rule under `rules:`.

    It matches when `when` (CEL) and `where` (a mapping, see `paycordon.policy.where`) hold, as far as they are given,
    and `unless` (CEL) does not. `then` is `review`, `hold` or `block`: outcomes combine by maximum, so a rule that
    allows could change nothing. `adds` gives points to typologies. `review_after` is how long a hold may wait for a
    person. Of a rule with `child_protection`, no change that may weaken it takes effect without a second person.
    """

    id: RuleId
    """Names the rule in decisions, tests and bindings; keep it."""
    on: Annotated[tuple[Annotated[StrictStr, AfterValidator(_screenable), _EVENT_TYPES], ...], Field(min_length=1)]
    """The types of events it looks at."""
    when: StrictStr | None = None
    """CEL: what must hold."""
    where: Annotated[dict[StrictStr, JsonValue] | None, Field(min_length=1)] = None
    """What must hold, as a mapping such as `finding: code`; values that are missing do not match."""
    unless: StrictStr | None = None
    """CEL: the exception."""
    then: Literal[Outcome.REVIEW, Outcome.HOLD, Outcome.BLOCK] | None = None
    """`review` goes on and a person looks; `hold` waits for a person; `block` is refused, people can undo it."""
    adds: dict[TypologyName, Annotated[StrictInt, Field(ge=-1_000, le=1_000)]] = {}
    """Points for typologies."""
    merchant_reason: Reason | None = None
    """All that the merchant hears: a true and neutral code."""
    internal_reason: Prose = ""
    """For your own people only."""
    references: Annotated[tuple[Prose, ...], Field(max_length=64)] = ()
    """Where the rule comes from."""
    status: Status | None = None
    """How far it is to be trusted: `unverified`, `experimental`, `test` or `stable`."""
    weight: Weight | None = None
    """`hard` for a fact of its own, `soft` for behaviour that honest people show as well."""
    false_positives: Annotated[tuple[Prose, ...], Field(max_length=64)] = ()
    """Who is honest and matches all the same."""
    review_after: Duration | None = None
    """How long a hold may wait for a person."""
    scope: Scope | None = None
    """What a hold stops: `payout` (this one, before it leaves), `outflow` (payouts, while a merchant is being signed),
    `payouts`, `charges` (and payouts) or `onboarding`."""
    child_protection: StrictBool | None = None
    """Weakening it takes a second person."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.when is None and self.where is None:
            raise ValueError("a rule needs `when` or `where`")
        if self.then is None and not self.adds:
            raise ValueError("a rule needs `then`, or `adds` points to a typology")
        if self.then is not None and self.then.stops and self.merchant_reason is None:
            raise ValueError(
                f"a rule that says `{self.then}` needs a `merchant_reason`, a neutral code for the merchant"
            )
        self._check_scope()
        return self

    def _check_scope(self) -> None:
        if self.scope is None:
            return
        if self.then is None or not self.then.stops:
            raise ValueError("`scope` says what a hold stops, so the rule needs `then: hold` or `then: block`")
        stages = {Scope.PAYOUT: Stage.PAYOUT, Scope.OUTFLOW: Stage.MERCHANT, Scope.ONBOARDING: Stage.MERCHANT}
        stage = stages.get(self.scope)
        if stage is not None and any(not type_.startswith(f"{stage}.") for type_ in self.on):
            raise ValueError(f"`scope: {self.scope}` is for rules `on` events of the kind `{stage}.*` alone")


class ThresholdsDocument(Part):
    """From how many points on a typology states an outcome."""

    review: Points | None = None
    hold: Points | None = None
    block: Points | None = None

    @model_validator(mode="after")
    def _rising(self) -> Self:
        given = [points for points in (self.review, self.hold, self.block) if points is not None]
        if not given:
            raise ValueError("at least one of `review`, `hold` and `block` is needed")
        if given != sorted(set(given)):
            raise ValueError("thresholds rise from `review` over `hold` to `block`")
        return self


class TypologyDocument(Part):
    """A named pattern under `typologies:`; rules add points to it, and its thresholds state outcomes."""

    thresholds: ThresholdsDocument
    description: Prose = ""
    merchant_reason: Reason | None = None
    internal_reason: Prose = ""
    references: Annotated[tuple[Prose, ...], Field(max_length=64)] = ()
    review_after: Duration | None = None
    scope: Literal[Scope.PAYOUTS, Scope.CHARGES] | None = None
    """What a hold stops; a typology is of no single event."""

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        stops = self.thresholds.hold is not None or self.thresholds.block is not None
        if stops and self.merchant_reason is None:
            raise ValueError("a typology that holds or blocks needs a `merchant_reason`, a neutral code")
        return self


class PackDocument(Part):
    """What makes a policy a pack: a publication, put into rules. Lint asks more of the rules of a pack."""

    source: Annotated[Prose, Field(min_length=1)]
    """The publication."""
    jurisdictions: Annotated[tuple[Annotated[StrictStr, Field(pattern=r"^[A-Z]{2}$")], ...], Field(max_length=250)] = ()
    """For which countries it was written; none for all. Bindings say where it applies."""
    review_by: date
    """When somebody has to compare it with its source again."""
    left_out: Annotated[tuple[Prose, ...], Field(max_length=64)] = ()
    """What the publication names and no rule looks at, and why."""


class PolicyDocument(Part):
    """A whole policy file.

    `review_after`, `child_protection`, `status` and `weight` are what its rules have where they say nothing.
    """

    policy: PolicyName
    """The name of the policy."""
    version: Annotated[StrictInt, Field(ge=1, le=1_000_000_000)]
    """Raise it with each change."""
    description: Prose = ""
    on_error: Outcome
    """What a failed check, or a rule without an answer, means here."""
    review_after: Duration | None = None
    child_protection: StrictBool = False
    pack: PackDocument | None = None
    """The publication that it puts into rules, if it is a pack."""
    status: Status | None = None
    weight: Weight | None = None
    params: dict[Name, ParamValue] = {}
    """Numbers and texts that rules, and the windows and conditions of aggregates, use as `params.name`."""
    lists: dict[Name, ListDocument] = {}
    """Sets of texts that rules use as `listed(value, lists.name)`."""
    aggregates: dict[Name, AggregateDocument] = {}
    """Values over past events, as `aggregates.name`."""
    variables: dict[Name, StrictStr] = {}
    """Expressions that rules share, as `variables.name`."""
    typologies: dict[TypologyName, TypologyDocument] = {}
    """Named patterns that rules add points to."""
    rules: Annotated[tuple[RuleDocument, ...], Field(min_length=1, max_length=2_000)]

    @model_validator(mode="before")
    @classmethod
    def _fill_aggregates(cls, data: Any) -> Any:
        """Put parameters into the aggregates that name them."""
        if not isinstance(data, dict) or not isinstance(params := data.get("params"), dict):
            return data
        return {**data, "aggregates": _filled(data.get("aggregates") or {}, params)}


def params_fixed(aggregates: object) -> Iterator[str]:
    """The parameters that aggregates name, as they are written in the file: no binding can set these."""
    if isinstance(aggregates, str):
        if found := PARAM.fullmatch(aggregates):
            yield found[1]
    elif isinstance(aggregates, dict | list):
        for each in aggregates.values() if isinstance(aggregates, dict) else aggregates:
            yield from params_fixed(each)


def _filled(value: Any, params: dict[str, Any]) -> Any:
    if isinstance(value, str):
        found = PARAM.fullmatch(value)
        return params.get(found[1], value) if found else value
    if isinstance(value, dict):
        return {name: _filled(each, params) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, params) for each in value]
    return value
