"""Random histories full of ties, late and redelivered events, and aggregates of every kind over them."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from paycordon.aggregates import Aggregate, Function, Number
from paycordon.aggregates.definition import Column, Condition
from paycordon.aggregates.facts import Facts, facts_of
from paycordon.decisions import Outcome
from paycordon.events import Event, EventType
from paycordon.record.log import append
from paycordon.store import Store
from paycordon.store.ledger import Entry, record
from paycordon.store.snapshot import origin
from paycordon.store.windows import aggregate
from paycordon.testing import NOON, make_event

TYPES = tuple(EventType)
BYS = ("merchant", "account", "payer", "destination", "identifier.iban", "identifier.email")
WINDOWS = (
    timedelta(minutes=10),
    timedelta(minutes=17),
    timedelta(hours=6),
    timedelta(hours=30),
    timedelta(days=180),
)
WHERES: tuple[tuple[Condition, ...], ...] = (
    (),
    (),
    (Condition(column=Column.CURRENCY, any_of=("EUR",)),),
    (Condition(column=Column.AMOUNT, at_least=0, below=400), Condition(column=Column.CURRENCY, any_of=("SEK", "JPY"))),
    (Condition(column=Column.AMOUNT, multiple_of=10), Condition(column=Column.CURRENCY, any_of=("EUR", "SEK"))),
    (Condition(column=Column.METHOD, any_of=("instant", "standard")),),
    (Condition(column=Column.STATUS, any_of=("paid",)),),
    (Condition(column=Column.REASON, any_of=("fraudulent",)),),
    (Condition(column=Column.PAYER_COUNTRY, any_of=("NL", "JP")),),
    (Condition(column=Column.COUNTRY, any_of=("NL",)),),
    (Condition(column=Column.MCC, at_least=5000, below=5900),),
    (Condition(column=Column.PAYER_HOUR, any_of=(22, 23, 0, 1, 2, 3)),),
    (Condition(column=Column.PAYER_WEEKDAY, at_least=2),),
)
VALUES = (
    Column.COUNTERPARTY,
    Column.PAYER,
    Column.DESTINATION,
    Column.MERCHANT,
    Column.ACCOUNT,
    Column.CURRENCY,
    Column.PAYER_COUNTRY,
    Column.MCC,
    Column.REASON,
)


@dataclass(frozen=True)
class Recorded:
    """An event as the store took it in, and what its aggregates were then."""

    position: int
    seen: int
    facts: Facts
    values: Mapping[str, Number]


def random_event(rng: random.Random, number: int, minutes: float) -> Event:
    """An event among few merchants, payers, accounts and amounts; times fall together often."""
    at = NOON + timedelta(minutes=minutes if rng.random() < 0.2 else round(minutes), microseconds=rng.choice((0, 0, 1)))
    type_ = rng.choice((*TYPES, EventType.PAYMENT_SUCCEEDED, EventType.PAYMENT_SUCCEEDED, EventType.PAYOUT_REQUESTED))
    merchant = rng.choice(("m_1", "m_1", "m_2", "m_3"))
    minor = rng.choice((-7, 0, 1, 100, 399, 400, 5_000, 2**62, -(2**62)) if rng.random() < 0.3 else (10, 20, 30))
    amount = {"minor": minor, "currency": rng.choice(("EUR", "EUR", "SEK", "JPY"))}
    payer = rng.choice((None, "p_1", "p_2", "p_3", "p" * 300))
    parts: dict[str, dict[str, Any]] = {
        "payout": {
            "amount": amount,
            "destination": rng.choice((None, "d_1", "d_2")),
            "method": rng.choice((None, "instant", "slow")),
            "status": rng.choice((None, "paid", "pending")),
        },
        "dispute": {
            "id": f"dp_{number}",
            "amount": amount,
            "payer": payer,
            "reason": rng.choice((None, "fraudulent", "other")),
            "status": rng.choice((None, "paid", "open")),
        },
        "payment": {
            "id": f"pay_{number}",
            "amount": amount,
            "payer": payer,
            "payer_country": rng.choice((None, "NL", "JP", "US")),
            "payer_time_zone": rng.choice((None, None, "Asia/Kathmandu", "America/New_York", "No/Where")),
        },
    }
    stage = type_.split(".")[0]
    identifiers = [("iban", f"i_{rng.randrange(3)}") for _ in range(rng.choice((0, 0, 1, 2)))]
    identifiers += [("email", f"e_{rng.randrange(3)}") for _ in range(rng.choice((0, 1, 2)))]
    rng.shuffle(identifiers)
    return make_event(
        type_,
        id=f"evt_{number}",
        occurred_at=at,
        instance=rng.choice(("acme", "acme", "other")),
        account={"id": f"{merchant}_{rng.choice('ab')}"},
        merchant={
            "id": merchant,
            "country": rng.choice((None, "NL", "SE")),
            "mcc": rng.choice((None, "0742", "5812", "5967")),
        },
        identifiers=tuple({"kind": kind, "digest": digest} for kind, digest in dict.fromkeys(identifiers)),
        **({stage: parts[stage]} if stage in parts else {}),
    )


def random_history(rng: random.Random, size: int) -> list[Event]:
    """Events in the order in which they come: some late, by minutes or hours, and some for a second time."""
    events: list[Event] = []
    now = 0.0
    for number in range(size):
        now += rng.choice((0, 0, 0.5, 1, 3, 11, 90))
        late = rng.random() < 0.2
        events.append(random_event(rng, number, now - (rng.choice((0.7, 5, 30, 600)) if late else 0)))
        if rng.random() < 0.05:
            again = rng.choice(events)
            events.append(
                random_event(rng, number, now).model_copy(update={"id": again.id, "instance": again.instance})
            )
    return events


def random_definition(rng: random.Random, function: Function | None = None, by: str | None = None) -> Aggregate:
    """Any definition that is allowed, of a function and by whom if these are given."""
    while True:
        chosen = function or rng.choice(tuple(Function))
        try:
            return Aggregate(
                function=chosen,
                of=rng.choice(TYPES),
                per=rng.choice(TYPES) if chosen is Function.RATIO else None,
                value=rng.choice(VALUES) if chosen is Function.DISTINCT else Column.COUNTERPARTY,
                by=by or rng.choice(BYS),
                where=rng.choice(WHERES),
                window=rng.choice(WINDOWS),
                include_current=rng.random() < 0.6,
            )
        except ValidationError:
            continue


def random_definitions(rng: random.Random, more: int, *, every: bool = True) -> dict[str, Aggregate]:
    """Every function by everybody once, if asked for, and some more at random."""
    found = [random_definition(rng, function, by) for function in Function for by in BYS if every]
    found += [random_definition(rng) for _ in range(more)]
    return {f"{number}_{each.function}_{each.by}": each for number, each in enumerate(found)}


def take_in(
    store: Store, rng: random.Random, events: Sequence[Event], wanted: Mapping[str, Aggregate]
) -> list[Recorded]:
    """Record events as screening does, some of different merchants judged before any of them is recorded."""
    taken: list[Recorded] = []
    waiting = list(events)
    while waiting:
        together = [waiting.pop(0)]
        while waiting and rng.random() < 0.6 and not _collide(waiting[0], together):
            together.append(waiting.pop(0))
        with store.read() as connection:
            found = [(event, origin(connection, event)) for event in together]
            judged = [
                (event, known, aggregate(connection, event, known.merchant, wanted))
                for event, known in found
                if known.recorded is None
            ]
        for event, known, values in judged:
            with store.write() as connection:
                if rng.random() < 0.1:  # other entries of the log stand between
                    append(connection, NOON, "note", {})
                record(connection, Entry(event, known, None, Outcome.ALLOW), NOON, secrets.token_bytes)
                position = int(connection.exec_driver_sql("SELECT MAX(position) FROM events").scalar_one())
            taken.append(Recorded(position, known.seen, facts_of(event, known.merchant), values))
    return taken


def _collide(event: Event, others: Sequence[Event]) -> bool:
    return any(event.merchant.id == other.merchant.id or event.id == other.id for other in others)


@pytest.fixture
def history() -> Callable[[random.Random, int], list[Event]]:
    return random_history


@pytest.fixture
def definitions() -> Callable[..., dict[str, Aggregate]]:
    return random_definitions


@pytest.fixture
def take() -> Callable[[Store, random.Random, Sequence[Event], Mapping[str, Aggregate]], list[Recorded]]:
    return take_in
