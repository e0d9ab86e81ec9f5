"""Whoever changes the log or what it speaks of is found, at the first bad entry."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, text, update

from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Outcome
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.checkpoints import Checkpoint, checkpoint, export, load
from paycordon.record.log import GENESIS, entry_hash
from paycordon.record.problems import MAX_LISTED
from paycordon.record.verify import verify
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, holds, schema
from paycordon.store.ledger import Entry, record
from paycordon.store.snapshot import origin
from paycordon.testing import NOON, FrozenClock, make_event

LOG = schema.log
POLICY = """\
policy: synthetic
version: 1
on_error: review
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 100000
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
KEY = Ed25519PrivateKey.generate()
Change = Callable[[Connection], object]
MakeCordon = Callable[[Store], Cordon]


@pytest.fixture
def written(store: Store, digester: Digester, clock: FrozenClock, tmp_path: Path) -> Store:
    """A store with ten entries: payments, payouts of which two are held, and one release."""
    path = tmp_path / "synthetic.yaml"
    path.write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
    cordon = Cordon(store, load_policies([path]), Plugins({}), digester, limits=limits, clock=clock)
    for n in range(9):
        clock.advance(timedelta(seconds=1))
        if n % 3:
            cordon.screen(make_event("payment.succeeded", id=f"evt_{n}"))
        else:
            amount = {"minor": 200_000 if n else 100, "currency": "EUR"}
            cordon.screen(make_event("payout.requested", id=f"evt_{n}", payout={"id": f"po_{n}", "amount": amount}))
    with store.write() as connection:
        first = holds.listed(connection)[0]
        holds.release(connection, first.id, by="reviewer", reason="papers were fine", now=clock())
    return store


def edit(store: Store, *changes: Change) -> None:
    with store.write() as connection:
        for change in changes:
            change(connection)


def problems(store: Store, **given: object) -> list[str]:
    report = verify(store, **given)  # type: ignore[arg-type]
    assert report.ok == (not report.problems)
    return [str(problem) for problem in report.problems]


def set_entry(number: int, **values: object) -> Change:
    return lambda connection: connection.execute(update(LOG).where(LOG.c.seq == number).values(**values))


def remove_entry(seq: int) -> Change:
    return lambda connection: connection.execute(delete(LOG).where(LOG.c.seq == seq))


def rechain(connection: Connection) -> None:
    """Recompute the whole chain, as somebody would who can write the database."""
    previous = GENESIS
    for row in connection.execute(select(LOG).order_by(LOG.c.seq)).all():
        previous = entry_hash(previous, row.seq, row.at, row.kind, row.payload)
        connection.execute(update(LOG).where(LOG.c.seq == row.seq).values(hash=previous))


def test_untouched_log_is_fine(written: Store) -> None:
    seen: list[tuple[int, int]] = []
    report = verify(written, progress=lambda done, total: seen.append((done, total)))
    assert (report.ok, report.entries, report.seq, report.problems) == (True, 10, 10, ())
    assert seen == [(10, 10)]
    with written.read() as connection:
        assert connection.execute(select(LOG.c.hash).where(LOG.c.seq == 10)).scalar_one().hex() == report.hash


def test_empty_log_is_fine(store: Store) -> None:
    report = verify(store)
    assert (report.ok, report.entries, report.seq, report.hash) == (True, 0, 0, "00" * 32)


@pytest.mark.parametrize("seq", [1, 5, 10])
@pytest.mark.parametrize("values", [{"payload": "{}"}, {"kind": "note"}, {"at": 0}, {"payload": "no json"}])
def test_changed_entry_is_named(written: Store, seq: int, values: dict[str, object]) -> None:
    edit(written, set_entry(seq, **values))
    first = problems(written)[0]
    assert first.startswith(f"entry {seq}: its time, kind or payload was changed")


def test_changed_hash_is_told_from_a_changed_payload(written: Store) -> None:
    edit(written, set_entry(4, hash=bytes(32)))
    assert problems(written) == ["entry 4: its hash was changed"]


def test_two_changes_are_both_found(written: Store) -> None:
    edit(written, set_entry(3, at=0), set_entry(7, at=0))
    assert [line.split(":")[0] for line in problems(written)] == ["entry 3", "entry 7"]


@pytest.mark.parametrize(("removed", "named"), [([1], "entry 1: is missing"), ([4], "entry 4: is missing")])
def test_removed_entry_is_named(written: Store, removed: list[int], named: str) -> None:
    edit(written, *map(remove_entry, removed))
    assert problems(written)[0] == named


def test_removed_stretch_is_named_as_one(written: Store) -> None:
    edit(written, *map(remove_entry, (4, 5, 6)))
    assert problems(written)[0] == "entry 4: is missing, up to entry 6"


def test_removed_and_renumbered_entry_is_named(written: Store) -> None:
    edit(
        written,
        remove_entry(4),
        *(set_entry(n, seq=n - 1) for n in range(5, 11)),
    )
    assert problems(written)[0].startswith("entry 4:")


def test_inserted_entry_is_named(written: Store) -> None:
    forged = {"at": 0, "kind": "note", "payload": "{}", "hash": bytes(32)}
    edit(
        written,
        *(set_entry(n, seq=n + 1) for n in range(10, 3, -1)),
        lambda connection: connection.execute(LOG.insert().values(seq=4, **forged)),
    )
    assert problems(written)[0].startswith("entry 4:")


@pytest.mark.parametrize("seq", [0, -5])
def test_entry_inserted_before_the_first_is_named(written: Store, seq: int) -> None:
    forged = {"at": 0, "kind": "note", "payload": "{}", "hash": bytes(32)}
    edit(written, lambda connection: connection.execute(LOG.insert().values(seq=seq, **forged)))
    assert problems(written) == [f"entry {seq}: was inserted; the first entry is entry 1"]


def test_swapped_entries_are_named_at_the_first(written: Store) -> None:
    edit(written, set_entry(4, seq=99), set_entry(5, seq=4), set_entry(99, seq=5))
    assert problems(written)[0].startswith("entry 4:")


def test_values_of_the_wrong_type_are_a_change_and_not_a_crash(sqlite_store: Store) -> None:
    edit(
        sqlite_store,
        text_statement("INSERT INTO log VALUES (1, 'text', 1.5, x'00', 'h')"),
        text_statement("INSERT INTO log VALUES (2, 0, 'note', '[]', 'h')"),
    )
    assert problems(sqlite_store) == [
        "entry 1: does not follow from entry 0",
        "entry 2: does not follow from entry 1",
    ]


def text_statement(sql: str) -> Change:
    return lambda connection: connection.execute(text(sql))


def test_truncated_tail_is_found_by_a_stored_checkpoint(written: Store) -> None:
    checkpoint(written, KEY, NOON)
    edit(written, remove_entry(9), remove_entry(10))
    assert problems(written)[0].startswith("entry 9: is missing, up to entry 10 of the checkpoint signed at")


def test_truncated_tail_with_its_checkpoints_is_found_by_a_kept_one(written: Store) -> None:
    signed = checkpoint(written, KEY, NOON)
    assert signed is not None
    kept = load([export(signed)])
    edit(written, remove_entry(10), lambda connection: connection.execute(delete(schema.checkpoints)))
    assert not any("entry 10" in line for line in problems(written))
    assert problems(written, kept=kept)[0].startswith("entry 10: is missing, up to entry 10 of the kept checkpoint")


def test_wholly_recomputed_chain_is_found_by_a_checkpoint_only(written: Store) -> None:
    edit(written, lambda connection: connection.execute(update(LOG).where(LOG.c.seq == 9).values(at=0)), rechain)
    assert problems(written) == []
    edit(written, set_entry(9, at=1), rechain)
    checkpoint(written, KEY, NOON)
    edit(written, set_entry(3, at=0), rechain)
    [found] = problems(written)
    assert found.startswith("entry 10: its hash is not that of the checkpoint")


def test_checkpoints_that_agree_are_counted(written: Store) -> None:
    signed = checkpoint(written, KEY, NOON)
    assert signed is not None
    report = verify(written, public_keys=[KEY.public_key()], kept=[signed])
    assert (report.ok, report.checkpoints) == (True, 2)


def test_forged_checkpoints_are_named(written: Store) -> None:
    signed = checkpoint(written, KEY, NOON)
    assert signed is not None
    other = Ed25519PrivateKey.generate().public_key()
    assert "is not among those given" not in "".join(problems(written))
    assert problems(written, public_keys=[other]) == [
        f"checkpoint 10: is signed with the key `{signed.key_id}`, which is not among those given"
    ]
    forged = Checkpoint.read(signed.statement, signed.key_id, bytes(64))
    assert problems(written, public_keys=[KEY.public_key()], kept=[forged]) == [
        "kept checkpoint 10: its signature is wrong"
    ]
    edit(written, lambda c: c.execute(update(schema.checkpoints).values(seq=9)))
    assert problems(written) == ["checkpoint 9: was changed"]


EVENTS, DECISIONS, HOLDS = schema.events, schema.decisions, schema.holds
FACTS, HOURS = schema.facts, schema.hours


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (update(EVENTS).where(EVENTS.c.id == "evt_4").values(body="{}"), "event `evt_4`: is not what entry 5 recorded"),
        (
            update(EVENTS).where(EVENTS.c.id == "evt_4").values(seen=99),
            "event `evt_4`: its columns are not what its text says",
        ),
        (
            update(FACTS).where(FACTS.c.position == 5).values(amount=1),
            "event `evt_4`: what aggregates read is not what its text says",
        ),
        (
            delete(FACTS).where(FACTS.c.position == 5),
            "event `evt_4`: what aggregates read is not what its text says",
        ),
        (
            insert(FACTS).values(key="payer:p", type="x", occurred_at=0, position=99, merchant="m", account="a"),
            "table `facts`: has rows that come from no event of the log",
        ),
        (update(HOURS).values(events=HOURS.c.events + 1), "table `hours`: its sums are not those of the facts"),
        (delete(HOURS), "table `hours`: its sums are not those of the facts"),
        (
            update(EVENTS).where(EVENTS.c.id == "evt_4").values(merchant="m_9"),
            "event `evt_4`: its columns are not what its text says",
        ),
        (delete(EVENTS).where(EVENTS.c.id == "evt_4"), "event `evt_4`: is missing, entry 5 names it"),
        (
            update(EVENTS).where(EVENTS.c.id == "evt_4").values(id="evt_x"),
            "event `evt_x`: no entry of the log names it",
        ),
    ],
)
def test_changed_event_is_named(written: Store, change: object, sentence: str) -> None:
    edit(written, lambda connection: connection.execute(change))  # type: ignore[call-overload]
    assert sentence in problems(written)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (update(DECISIONS).values(body="{}"), "is not what entry 4 recorded"),
        (update(DECISIONS).values(outcome="allow"), "its columns are not what its text says"),
        (delete(DECISIONS), "is missing, entry 4 names it"),
    ],
)
def test_changed_decision_is_named(written: Store, change: object, sentence: str) -> None:
    with written.read() as connection:
        decision = connection.execute(select(DECISIONS.c.id).where(DECISIONS.c.event_id == "evt_3")).scalar_one()
    edit(written, lambda c: c.execute(change.where(DECISIONS.c.id == decision)))  # type: ignore[attr-defined]
    assert f"decision `{decision}`: {sentence}" in problems(written)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (update(HOLDS).values(outcome="review"), "is not what its decision says"),
        (update(HOLDS).values(account="another"), "is not what its decision says"),
        (update(HOLDS).values(released_at=1), "is released, but no entry of the log says so"),
        (delete(HOLDS), "is missing, the log names it"),
        (update(HOLDS).values(id="hold_x"), "is missing, the log names it"),
    ],
)
def test_changed_hold_is_named(written: Store, change: object, sentence: str) -> None:
    with written.read() as connection:
        [hold] = holds.listed(connection)
    edit(written, lambda c: c.execute(change.where(HOLDS.c.id == hold.id)))  # type: ignore[attr-defined]
    assert f"hold `{hold.id}`: {sentence}" in problems(written)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"released_at": None}, "is in force, but the log says that it was released"),
        ({"released_by": "somebody"}, "its release is not what the log says"),
        ({"release_reason": "other"}, "its release is not what the log says"),
        ({"release_reason": None}, "its release is not what the log says"),
    ],
)
def test_changed_release_is_named(written: Store, values: dict[str, object], sentence: str) -> None:
    with written.read() as connection:
        [hold] = [h for h in holds.listed(connection, active_only=False) if not h.active]
    edit(written, lambda connection: connection.execute(update(HOLDS).where(HOLDS.c.id == hold.id).values(**values)))
    assert problems(written) == [f"hold `{hold.id}`: {sentence}"]


def test_records_that_no_entry_names_are_named(written: Store) -> None:
    copies = [
        "INSERT INTO events SELECT 99, 98, instance, 'evt_x', type, merchant, 99, account, occurred_at, recorded_at, "
        "body, salt FROM events WHERE id = 'evt_1'",
        "INSERT INTO decisions SELECT 'dec_x', instance, 'evt_x', merchant, outcome, decided_at, body, event_type, "
        "shadow_outcome, salt FROM decisions WHERE event_id = 'evt_3'",
        "INSERT INTO holds (id, decision_id, merchant, instance, account, subject_kind, subject_id, outcome, rule, "
        "merchant_reason, created_at, source, scope, two_people) "
        "VALUES ('hold_x', 'dec_x', 'm_1', 'acme', 'a', 'payout', 'p', 'block', 'r', '', 0, 'decision', 'charges', 0)",
    ]
    edit(written, *map(text_statement, copies))
    assert problems(written) == [
        "event `evt_x`: no entry of the log names it",
        "decision `dec_x`: no entry of the log names it",
        "hold `hold_x`: no entry of the log names it",
    ]


def test_report_lists_a_bounded_number_of_problems(store: Store) -> None:
    rows = [{"seq": n, "at": 0, "kind": "note", "payload": "{}", "hash": bytes(32)} for n in range(1, 1_301)]
    edit(store, lambda connection: connection.execute(LOG.insert(), rows))
    report = verify(store)
    assert (report.entries, len(report.problems)) == (1_300, MAX_LISTED)
    assert report.more == 1_300 - MAX_LISTED
    assert report.problems[0].entry == 1


def test_more_records_than_a_page_are_all_compared(sqlite_store: Store, make_cordon: MakeCordon) -> None:
    cordon = make_cordon(sqlite_store)
    for n in range(600):
        cordon.screen(make_event("payment.succeeded" if n % 2 else "payout.requested", id=f"evt_{n}"))
    seen: list[int] = []
    assert verify(sqlite_store, progress=lambda done, _total: seen.append(done)).ok
    assert seen == [500, 600]
    edit(sqlite_store, lambda c: c.execute(update(EVENTS).where(EVENTS.c.id == "evt_399").values(id="evt_x")))
    assert problems(sqlite_store) == [
        "event `evt_399`: is missing, entry 400 names it",
        "event `evt_x`: no entry of the log names it",
    ]


def test_a_record_of_the_wrong_type_is_named_and_does_not_stop_the_verification(sqlite_store: Store) -> None:
    with sqlite_store.write() as connection:
        event = make_event("payment.succeeded", id="evt_0")
        entry = Entry(event, origin(connection, event), None, Outcome.ALLOW)
        record(connection, entry, NOON, secrets.token_bytes)
    edit(sqlite_store, lambda c: c.execute(text("UPDATE events SET body = CAST(body AS BLOB)")))
    assert problems(sqlite_store) == ["event `evt_0`: is not what entry 1 recorded"]
