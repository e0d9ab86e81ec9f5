"""From what a case states to what is judged: whole events with ordinary values for all that is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from paycordon.aggregates import Aggregate, Kind, Number
from paycordon.decisions import Outcome
from paycordon.documents import lower_first
from paycordon.events import Event, Stage
from paycordon.policy.cases.document import (
    MAX_PAST,
    CaseBinding,
    CheckErrorDocument,
    FindingDocument,
    PastEvent,
    SituationDocument,
)
from paycordon.policy.cases.partial import merged, relative, settled, stated
from paycordon.policy.cel import Param
from paycordon.policy.document import ListItem

Loc = tuple[str | int, ...]

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When a case's event happens, unless it says so itself: a Monday, noon in UTC."""

_AMOUNT = {"minor": 125_00, "currency": "EUR"}
_OLD = timedelta(days=-400)
_ORDINARY: Mapping[str, Any] = {
    "id": "evt_case",
    "gateway": "acme_pay",
    "instance": "acme",
    "account": {
        "id": "acct_1",
        "country": "NL",
        "created_at": _OLD,
        "charges_enabled": True,
        "payouts_enabled": True,
    },
    "merchant": {"id": "m_1", "name": "Synthetic Shop", "country": "NL", "mcc": "5999", "created_at": _OLD},
}
_OF_STAGE: Mapping[str, Mapping[str, Any]] = {
    Stage.PAYOUT: {"id": "po_1", "amount": _AMOUNT, "status": "pending", "method": "standard", "destination": "ba_1"},
    Stage.DISPUTE: {"id": "dp_1", "amount": _AMOUNT, "payment": "pay_1", "reason": "general", "status": "open"},
    Stage.PAYMENT: {"id": "pay_1", "amount": _AMOUNT, "payer": "fp_1", "payer_country": "NL"},
}


class SceneInvalid(Exception):
    """What a case states does not make an event; `loc` is where in the case."""

    def __init__(self, message: str, *loc: str | int) -> None:
        self.loc = loc
        super().__init__(message)


@dataclass
class Situation:
    """What a case states altogether: the file's defaults, the case, and the change of a near miss over each other.

    Attributes:
        event: what is stated of the event.
        shared: what the file's defaults state of it, for the events of the history too.
        places: by the name of a part, such as `event` or `params.small`, where it was stated last.
    """

    event: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    findings: tuple[FindingDocument, ...] = ()
    check_errors: tuple[CheckErrorDocument, ...] = ()
    history: tuple[PastEvent, ...] = ()
    aggregates: dict[str, int | float | str | None] = field(default_factory=dict)
    lists: dict[str, tuple[ListItem, ...]] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    binding: CaseBinding | None = None
    merchant: str | None = None
    standing: Outcome = Outcome.ALLOW
    places: dict[str, Loc] = field(default_factory=dict)


def situation_of(layers: Sequence[tuple[Loc, SituationDocument]]) -> Situation:
    """Lay what is stated over each other, the last on top; events and named values within each other too."""
    whole = Situation(shared=stated(layers[0][1].event))
    for loc, layer in layers:
        for name in layer.model_fields_set & set(SituationDocument.model_fields):
            value = getattr(layer, name)
            whole.places[name] = loc
            if name == "event":
                value = merged(whole.event, stated(value))
            elif isinstance(value, Mapping):
                whole.places |= {f"{name}.{key}": loc for key in value}
                value = {**getattr(whole, name), **value}
            setattr(whole, name, value)
    return whole


def event_of(situation: Situation) -> Event:
    """Complete the event that a case is about.

    Raises:
        SceneInvalid: it has no type, or does not hold together.
    """
    given = situation.event
    at = given.get("occurred_at", AT)
    if isinstance(at, timedelta):
        raise SceneInvalid("the time of the event itself cannot be relative", "event", "occurred_at")
    return _event(given, at, at, "event")


def past_of(situation: Situation, event: Event) -> tuple[Event, ...]:
    """Write out the events that were recorded before, in the order given.

    Raises:
        SceneInvalid: one of them has no type or time, does not hold together, or there are more than `MAX_PAST`.
    """
    whose = {"account": {"id": event.account.id}, "merchant": {"id": event.merchant.id}, "instance": event.instance}
    shared = merged({name: value for name, value in situation.shared.items() if name in _ORDINARY}, whose)
    events: list[Event] = []
    for index, past in enumerate(situation.history):
        events += _repeated(past, index, shared, event.occurred_at)
        if len(events) > MAX_PAST:
            raise SceneInvalid(f"a history has at most {MAX_PAST} events", "history", index)
    return tuple(events)


def _repeated(past: PastEvent, index: int, shared: Mapping[str, Any], at: datetime) -> Iterator[Event]:
    given = stated(past)
    times: int = given.pop("times", 1)
    every = given.pop("every", None) or timedelta(minutes=1)
    when = given.pop("occurred_at", None)
    if when is None:
        raise SceneInvalid("`occurred_at` is missing, such as `-3d`", "history", index)
    first = at + when if isinstance(when, timedelta) else when
    if isinstance(every, datetime):
        raise SceneInvalid("`every` is a distance, such as `+1h`", "history", index, "every")
    for number in range(1, times + 1):
        own = f"past_{index + 1}_{number}"
        ids: dict[str, Any] = {"id": own, **{part: {"id": f"{own}_{part}"} for part in _OF_STAGE if part in given}}
        if (stage := str(given.get("type", "")).split(".", 1)[0]) in _OF_STAGE:
            ids[stage] = {"id": f"{own}_{stage}"}
        yield _event(
            _numbered(merged(merged(shared, ids), given), number), first + every * (number - 1), at, "history", index
        )


def _numbered(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, dict):
        return {name: _numbered(each, number) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_numbered(each, number) for each in value]
    return value


def _event(given: Mapping[str, Any], occurred_at: datetime, at: datetime, *loc: str | int) -> Event:
    if "type" not in given:
        raise SceneInvalid("`type` is missing", *loc)
    stage = str(given["type"]).split(".", 1)[0]
    ordinary = {**_ORDINARY, "type": given["type"]}
    if stage in _OF_STAGE:
        ordinary[stage] = _OF_STAGE[stage]
    fields = settled(merged(ordinary, given), at) | {"occurred_at": occurred_at}
    try:
        return Event.model_validate(fields)
    except ValidationError as invalid:
        detail = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        message = lower_first(detail["msg"].removeprefix("Value error, ").removeprefix("Input "))
        names = [str(step) for step in detail["loc"]]
        raise SceneInvalid(f"`{'.'.join(names)}`: {message}" if names else message, *loc, *detail["loc"]) from None


def number_of(written: int | float | str | None, definition: Aggregate, at: datetime) -> Number:
    """Read a value of an aggregate as the engine computes it: times and durations are microseconds.

    Raises:
        ValueError: it is not what this aggregate yields.
    """
    if written is None:
        return None
    if isinstance(written, str):
        return _moment(written, at) if definition.kind is Kind.TIME else _duration(written, definition)
    if definition.kind in (Kind.TIME, Kind.DURATION):
        raise ValueError("is a time; write `-3d`" if definition.kind is Kind.TIME else "is a duration; write `2h`")
    if definition.kind is Kind.INTEGER and not isinstance(written, int):
        raise ValueError("is a whole number")
    return float(written) if definition.kind is Kind.FRACTION else written


def _moment(text: str, at: datetime) -> int:
    distance = relative(text)
    try:
        moment = at + distance if distance is not None else datetime.fromisoformat(text)
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, TypeError, OverflowError):
        raise ValueError("is a time; write `-3d` or `2026-03-01T12:00:00Z`") from None


def _duration(text: str, definition: Aggregate) -> int:
    distance = relative(f"+{text}")
    if definition.kind is not Kind.DURATION or distance is None:
        raise ValueError(f"is {_WORDS[definition.kind]}")
    return distance // _MICROSECOND


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WORDS = {Kind.INTEGER: "a whole number", Kind.FRACTION: "a number", Kind.DURATION: "a duration; write `2h`"}
