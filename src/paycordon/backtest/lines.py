"""From lines of a history to columns: what each event is, what aggregates know of it, and what judges need.

A line is an event (`schemas/event.v1.json`), or an object with an event and what was recorded with it: `event`,
`findings`, `check_errors`, `standing` (the most severe outcome in force then) and `merchant` (whom the event was
resolved to). The number of a line is the event's place in the order of intake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic_core import from_json, to_json

from paycordon.aggregates.facts import facts_of
from paycordon.backtest.columns import TAKEN, write
from paycordon.coalition.identifiers import Digester
from paycordon.decisions import CheckError, Finding, Outcome
from paycordon.events import Event, OpaqueId, Record, Stage
from paycordon.policy.evaluate import STANDING_HOLD
from paycordon.store.snapshot import standing_alone

FORMAT = 1
"""Grows when the files of this module change their meaning, so that none of an older version is taken up."""

# At least as long as the shortest card number, with the separators that one may have: then the event looks closer.
_MAY_HOLD_CARD_NUMBER = re.compile(r"[0-9][0-9 -]{12}")
_PARTS = frozenset({Stage.PAYOUT, Stage.DISPUTE, Stage.PAYMENT})

# The fields of an event without what `Event` checks of it as a whole, which takes most of the time.
_Fields: type[BaseModel] = create_model(
    "_Fields", __base__=Record, **{name: (each.annotation, each) for name, each in Event.model_fields.items()}
)  # type: ignore[call-overload]

_findings = TypeAdapter(tuple[Finding, ...])
_check_errors = TypeAdapter(tuple[CheckError, ...])


class _Line(Record):
    """A line that is more than an event."""

    event: _Fields
    findings: tuple[Finding, ...] = ()
    check_errors: tuple[CheckError, ...] = ()
    standing: Outcome = Outcome.ALLOW
    merchant: OpaqueId | None = None


class _Ignoring(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Match(_Ignoring):
    rule: str
    outcome: Outcome


class _Decision(_Ignoring):
    """What of a recorded decision is taken: the rest is what policies made of this."""

    findings: tuple[Finding, ...] = ()
    errors: tuple[CheckError, ...] = ()
    matches: tuple[_Match, ...] = ()


class _Entry(Record):
    """A line that the store wrote (`paycordon.backtest.recorded`)."""

    event: _Fields
    merchant: OpaqueId
    position: int
    seen: int
    decision: _Decision | None = None


class Bad(NamedTuple):
    """A line that cannot be used, and why; what it says is not repeated."""

    position: int
    problem: str


class Taken(NamedTuple):
    """What became of a chunk: the lowest and highest position in it, how many events it holds, and what is none."""

    low: int
    high: int
    events: int
    bad: tuple[Bad, ...]


class _Read(NamedTuple):
    """What a line says."""

    event: Event
    position: int
    seen: int
    merchant: str | None = None
    findings: tuple[Finding, ...] = ()
    check_errors: tuple[CheckError, ...] = ()
    standing: Outcome = Outcome.ALLOW


@dataclass(frozen=True, slots=True)
class Intake:
    """How lines are read.

    Attributes:
        digester: turns plain identifiers into digests.
        stages: the stages whose events are judged; of others only the facts are kept.
        from_store: whether the store wrote the lines.
    """

    digester: Digester
    stages: frozenset[str]
    from_store: bool

    def take(self, path: Path, first: int, block: bytes) -> Taken:
        """Read the lines of a chunk and write its file, all or nothing."""
        rows, bad = list[tuple[Any, ...]](), list[Bad]()
        number = first - 1
        for number, line in zip(count(first), block.removesuffix(b"\n").split(b"\n"), strict=False):
            if not line or line.isspace():
                continue
            try:
                rows.append(self._row(self._read(number, line.decode())))
            except ValidationError as invalid:
                bad.append(Bad(number, _problem(invalid)))
            except UnicodeDecodeError:
                bad.append(Bad(number, "it is not UTF-8"))
            except ValueError:
                bad.append(Bad(number, "it is no JSON"))
        taken = Taken(rows[0][0] if rows else first, rows[-1][0] if rows else number, len(rows), tuple(bad))
        write(path, TAKEN, rows, {"taken": taken})
        return taken

    def _read(self, number: int, text: str) -> _Read:
        """Read a line.

        Raises:
            ValueError: it is nothing that a line may be; a ValidationError says where.
        """
        if self.from_store:
            entry = _Entry.model_validate_json(text)
            decision = entry.decision or _Decision()
            standing = Outcome.most_severe(*(m.outcome for m in decision.matches if m.rule == STANDING_HOLD))
            event = _whole(entry.event, text, wrapped=True)
            recorded = decision.findings, decision.errors, standing
            return _Read(event, entry.position, entry.seen, entry.merchant, *recorded)
        if not _is_wrapped(text):
            return _Read(event_from(text), number, number - 1)
        line = _Line.model_validate_json(text)
        event = _whole(line.event, text, wrapped=True)
        return _Read(event, number, number - 1, line.merchant, line.findings, line.check_errors, line.standing)

    def _row(self, read: _Read) -> tuple[Any, ...]:
        event = self.digester.conceal(read.event)
        given = read.merchant or event.merchant.id
        facts = facts_of(event, given or standing_alone(event.instance, event.account.id))
        judged = event.stage in self.stages
        return (
            read.position,
            read.seen,
            given is not None,
            event.account.at_gateway,
            event.stage,
            event.merchant.country or event.account.country,
            *facts[:-1],
            [
                {"kind": kind, "digest": digest, "is_first": facts.identifier(kind) == digest}
                for kind, digest in facts.identifiers
            ],
            *(_inputs(event, read) if judged else (None, None, None, None)),
        )


def _inputs(event: Event, read: _Read) -> tuple[str | None, ...]:
    """What a judge needs beside the facts; what there is none of is none."""
    return (
        event.model_dump_json(exclude_none=True, exclude={"extra"}),
        _findings.dump_json(read.findings).decode() if read.findings else None,
        _check_errors.dump_json(read.check_errors).decode() if read.check_errors else None,
        read.standing.value if read.standing is not Outcome.ALLOW else None,
    )


def event_from(text: str) -> Event:
    """Read an event: the same ones as `Event.model_validate_json`, three times as fast if there is little to check.

    Raises:
        ValidationError: it is not an event.
    """
    if _needs_care(text):
        return Event.model_validate_json(text)
    return _whole(_Fields.model_validate_json(text), text, wrapped=False)


def trusted_event_from(text: str) -> Event:
    """Read an event that was checked when it was written."""
    return _event_of(_Fields.model_validate_json(text))


def findings_from(text: str | None) -> tuple[Finding, ...]:
    """Read findings that were checked when they were written."""
    return _findings.validate_json(text) if text else ()


def check_errors_from(text: str | None) -> tuple[CheckError, ...]:
    """Read check errors that were checked when they were written."""
    return _check_errors.validate_json(text) if text else ()


def _whole(fields: BaseModel, text: str, *, wrapped: bool) -> Event:
    """Make the event of these fields, checked as a whole as well."""
    stage = str(fields.type).split(".", 1)[0]  # type: ignore[attr-defined]
    lacks_part = stage in _PARTS and getattr(fields, stage) is None
    if wrapped and (lacks_part or _needs_care(text)):
        return Event.model_validate_json(to_json(from_json(text)["event"]))
    if lacks_part:
        return Event.model_validate_json(text)  # which says what is missing
    return _event_of(fields)


def _event_of(fields: BaseModel) -> Event:
    """Make an event of validated fields, as `model_construct` would, which goes through them one by one again."""
    event = Event.__new__(Event)
    object.__setattr__(event, "__dict__", fields.__dict__)
    object.__setattr__(event, "__pydantic_fields_set__", fields.model_fields_set)
    object.__setattr__(event, "__pydantic_extra__", None)
    object.__setattr__(event, "__pydantic_private__", None)
    return event


def _needs_care(text: str) -> bool:
    """Tell whether anything may be wrong with an event beyond its single fields.

    Card numbers are runs of digits, plain identifiers may be written in other ways, and `extra` may be too deep.
    """
    return (
        "\\" in text
        or '"extra"' in text
        or '"value"' in text
        or not text.isascii()  # there are other digits
        or _MAY_HOLD_CARD_NUMBER.search(text) is not None
    )


def _is_wrapped(text: str) -> bool:
    if '"event"' not in text:
        return False
    if text.startswith('{"event":'):
        return True
    parsed = from_json(text)
    return isinstance(parsed, dict) and "event" in parsed and "type" not in parsed


def _problem(invalid: ValidationError) -> str:
    """Say which field is wrong and why, without its value."""
    detail = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    field = ".".join(str(step) for step in detail["loc"])
    text = message[:1].lower() + message[1:]
    return (f"`{field}`: {text}" if field else text)[:300]
