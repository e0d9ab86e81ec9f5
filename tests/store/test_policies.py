"""What was in force is one fact of the store, and can be read again for ever."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from paycordon.errors import Conflict, NotFound, PolicyError
from paycordon.policy import PolicyFiles, PolicySet, load_set
from paycordon.record.verify import verify
from paycordon.store import Store
from paycordon.store import policies as kept
from paycordon.testing import NOON

ROOT = Path("deployment/policies")
BINDINGS = b"bindings:\n  - {id: all, policy: p, mode: enforce}\n"
FILES = PolicyFiles((ROOT / "p.yaml",), ROOT / "bindings.yaml", ROOT / "rates.csv")


def policies(then: str = "hold") -> PolicySet:
    contents = {
        "p.yaml": (
            "policy: p\nversion: 1\non_error: review\nlists: {far: {file: ../lists/far.csv}}\nrules:\n"
            f'  - id: r\n    on: [payout.requested]\n    when: "true"\n    then: {then}\n    merchant_reason: needed\n'
        ).encode(),
        "bindings.yaml": BINDINGS,
        "rates.csv": b"date,base,quote,rate\n2026-03-02,EUR,USD,1.1\n",
        "../lists/far.csv": b"value\nXA\n",
    }
    return load_set(FILES, read=lambda path: contents[kept.path_from(path, ROOT)])


HOLD, REVIEW, BLOCK = policies(), policies("review"), policies("block")


def take(store: Store, which: PolicySet, previous: PolicySet | None, *, now=NOON, signatures=("{}",)) -> bool:
    with store.write() as connection:
        return kept.take(
            connection,
            which,
            kept.manifest_of(which, FILES, signatures),
            previous=previous.digest if previous else None,
            signers=["alice (author)"],
            changes=["p/r: something"],
            now=now,
        )


def in_force(store: Store) -> kept.Kept:
    with store.read() as connection:
        found = kept.in_force(connection)
    assert found is not None
    return found


def test_nothing_is_in_force_at_first(store: Store) -> None:
    with store.read() as connection:
        assert kept.in_force(connection) is None
        assert kept.history(connection) == []


def test_a_set_is_read_again_without_its_files(store: Store) -> None:
    take(store, HOLD, None)
    newest = in_force(store)
    assert (newest.digest, newest.taken_at, newest.signatures) == (HOLD.digest, NOON, ("{}",))
    assert {(file.part, file.path) for file in newest.files} == {
        ("policies", "p.yaml"),
        ("bindings", "bindings.yaml"),
        ("rates", "rates.csv"),
        ("file", "../lists/far.csv"),
    }
    for root in (ROOT, Path("/somewhere/else/policies")):
        with store.read() as connection:
            again = kept.load(connection, newest, root)
        assert again.digest == HOLD.digest
        assert again.policies[0].lists == {"far": {"XA": None}}


def test_history_tells_each_time_in_order(store: Store) -> None:
    take(store, HOLD, None)
    take(store, REVIEW, HOLD, now=NOON + timedelta(hours=1))
    take(store, HOLD, REVIEW, now=NOON + timedelta(hours=2), signatures=("{}", "[]"))
    with store.read() as connection:
        told = kept.history(connection)
    assert [(each.digest, each.previous) for each in told] == [
        (HOLD.digest, None),
        (REVIEW.digest, HOLD.digest),
        (HOLD.digest, REVIEW.digest),
    ]
    assert (told[0].signers, told[0].changes) == (("alice (author)",), ("p/r: something",))
    assert in_force(store).digest == HOLD.digest
    assert verify(store).ok


def test_what_is_in_force_is_not_taken_again(store: Store) -> None:
    assert take(store, HOLD, None)
    assert not take(store, HOLD, None)
    assert not take(store, HOLD, REVIEW)
    with store.read() as connection:
        assert len(kept.history(connection)) == 1


def test_a_set_that_was_compared_with_something_else_is_not_taken(store: Store) -> None:
    take(store, HOLD, None)
    for previous in (None, BLOCK):
        with pytest.raises(Conflict):
            take(store, REVIEW, previous)
    assert in_force(store).digest == HOLD.digest
    assert verify(store).ok


def test_a_clock_that_goes_back_does_not_bring_the_old_back(store: Store) -> None:
    take(store, HOLD, None)
    take(store, REVIEW, HOLD, now=NOON - timedelta(days=1))
    assert in_force(store).digest == REVIEW.digest


def test_of_several_processes_one_takes_a_set(store: Store) -> None:
    take(store, HOLD, None)
    results: list[object] = []

    def race(which: PolicySet) -> None:
        try:
            results.append(take(store, which, HOLD))
        except Conflict as error:
            results.append(type(error))

    threads = [threading.Thread(target=race, args=(which,)) for which in (REVIEW, BLOCK, REVIEW, BLOCK)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(map(str, results)) == sorted(map(str, [True, False, Conflict, Conflict]))
    assert verify(store).ok


def test_a_set_is_named_by_the_beginning_of_its_digest(store: Store) -> None:
    take(store, HOLD, None)
    with store.read() as connection:
        assert kept.named(connection, HOLD.digest[:6]).digest == HOLD.digest
        for wrong in ("", HOLD.digest[:3], "%", "zzzz", "0" * 64):
            with pytest.raises(NotFound):
                kept.named(connection, wrong)


def test_a_beginning_that_two_sets_share_is_refused(store: Store) -> None:
    with store.write() as connection:
        for end in "ab":
            row = {"digest": "abcd" + end, "manifest": '{"files": [], "signatures": []}'}
            connection.execute(text("INSERT INTO policy_sets VALUES (:digest, 1, :manifest)"), row)
    with store.read() as connection, pytest.raises(Conflict):
        kept.named(connection, "abcd")


def test_a_missing_file_is_an_error_and_not_an_empty_one(store: Store) -> None:
    take(store, HOLD, None)
    newest = in_force(store)
    with store.write() as connection:
        connection.execute(text("DELETE FROM policy_files"))
    with store.read() as connection, pytest.raises((NotFound, PolicyError)):
        kept.load(connection, newest, ROOT)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE policy_files SET content = :junk", "a file of it is not what entry 2 recorded"),
        ("DELETE FROM policy_files", "a file of it is missing, entry 2 names it"),
        ("UPDATE policy_sets SET manifest = '{}'", "is not what entry 2 recorded"),
        ("DELETE FROM policy_sets", "is missing, entry 2 names it"),
        ("UPDATE policy_sets SET digest = 'x' || digest", "no entry of the log names it"),
        ("UPDATE policy_sets SET taken_at = -taken_at", "is in force, but the log says that another is"),
    ],
)
def test_the_log_shows_what_was_changed(store: Store, statement: str, told: str) -> None:
    take(store, HOLD, None)
    take(store, REVIEW, HOLD)
    with store.write() as connection:
        connection.execute(text(statement), {"junk": b"junk"} if ":junk" in statement else {})
    assert told in " ".join(problem.text for problem in verify(store).problems)
