"""A batch of a source is taken in whole, once, with its checkpoint, or not at all."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from paycordon.coalition.indicators import Changes, Indicator, Part, Withdrawn
from paycordon.coalition.lookup import key_of
from paycordon.errors import ApprovalRequired, NotFound
from paycordon.record.verify import verify
from paycordon.store import Store, feeding
from paycordon.store.feeding import apply_changes, approve, checkpoint_of, contents_digest, waiting
from paycordon.store.indicator_rows import row_of
from paycordon.store.indicators import listed

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def item(number: int, **fields: object) -> Indicator:
    said = Indicator("email", f"k1:{number:064x}", "IWF", f"case-{number}", 90, "allegation")
    return replace(said, **fields)  # type: ignore[arg-type]


def logged(store: Store) -> list[tuple[str, dict[str, object]]]:
    with store.read() as connection:
        rows = connection.execute(text("SELECT kind, payload FROM log ORDER BY seq")).all()
    return [(kind, json.loads(payload)) for kind, payload in rows]


def counting(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {each.reference: each.confidence for each in listed(connection, limit=10_000)}


def see(store: Store, digest: str, *merchants: str) -> None:
    with store.write() as connection:
        see_on(connection, digest, *merchants)


def see_on(connection: Connection, digest: str, *merchants: str) -> None:
    statement = "INSERT INTO sightings (digest, merchant, kind, first_seen, last_seen) VALUES (:d, :m, 'email', 1, 1)"
    for merchant in merchants:
        connection.execute(text(statement), {"d": digest, "m": merchant})


def test_a_batch_adds_corrects_withdraws_and_notes_how_far_it_got_in_one_entry(store: Store) -> None:
    first = apply_changes(store, Changes("IWF", [item(n) for n in range(1_200)], checkpoint="page 1"), NOW)
    assert (first.added, first.corrected, first.withdrawn, first.unchanged) == (1_200, 0, 0, 0)

    second = Changes(
        "IWF",
        [item(0), item(1, confidence=10), item(2, last_seen=NOW), item(9_999)],
        [Withdrawn(item(3).digest, "case-3"), Withdrawn("k1:none", "unheard of")],
        checkpoint="page 2",
    )
    done = apply_changes(store, second, LATER)

    assert (done.added, done.corrected, done.withdrawn, done.unchanged) == (1, 2, 1, 1)
    left = counting(store)
    assert (left["case-1"], len(left), "case-3" in left) == (10, 1_200, False)
    with store.read() as connection:
        assert checkpoint_of(connection, "IWF") == "page 2"
        assert checkpoint_of(connection, "NCMEC") is None
        keys = connection.execute(text("SELECT position, keys FROM indicator_batches ORDER BY position")).all()
    assert [(position, len(packed) // 8) for position, packed in keys] == [(first.position, 1_200), (done.position, 1)]
    assert struct.unpack("<Q", keys[1][1]) == (key_of(item(9_999).digest),)
    entries = logged(store)
    assert [kind for kind, _ in entries] == ["indicators.changed"] * 2
    assert entries[1][1]["digest"] == contents_digest(second)
    assert [entries[1][1][name] for name in ("added", "corrected", "withdrawn")] == [1, 2, 1]
    assert verify(store).ok


def test_the_digest_of_a_batch_is_that_of_its_json() -> None:
    said = [item(1), item(2, category='a "b" \u00e9', valid_until=NOW)]
    for changes in (
        Changes("IWF", said, [Withdrawn("k1:x", "r")]),
        Changes('"', [], complete=True),
        Changes("IWF", said[:1]),
    ):
        body = {
            "source": changes.source,
            "said": [row_of(each) for each in changes.said],
            "withdrawn": [[each.digest, each.reference] for each in changes.withdrawn],
            "complete": changes.complete,
        }
        whole = json.dumps(body, sort_keys=True, separators=(",", ":"))
        assert contents_digest(changes) == hashlib.sha256(whole.encode()).hexdigest()


def test_the_same_batch_again_changes_nothing(store: Store) -> None:
    batch = Changes("IWF", [item(1), item(2)], [Withdrawn(item(3).digest, "case-3")], checkpoint="1")
    apply_changes(store, batch, NOW)
    again = apply_changes(store, batch, LATER)
    assert (again.added, again.corrected, again.withdrawn, again.unchanged, again.position) == (0, 0, 0, 2, None)
    assert len(logged(store)) == 1
    with store.read() as connection:
        assert {each.changed_at for each in listed(connection)} == {NOW}


def test_a_batch_without_news_still_moves_the_checkpoint(store: Store) -> None:
    apply_changes(store, Changes("IWF", [item(1)], checkpoint="1"), NOW)
    apply_changes(store, Changes("IWF", checkpoint="2"), NOW)
    apply_changes(store, Changes("IWF", [item(2)]), NOW)
    with store.read() as connection:
        assert checkpoint_of(connection, "IWF") == "2"


def test_a_complete_batch_withdraws_what_it_does_not_say_of_its_own_source_only(store: Store) -> None:
    apply_changes(store, Changes("IWF", [item(n) for n in range(5)]), NOW)
    apply_changes(store, Changes("NCMEC", [item(7, source="NCMEC")]), NOW)
    done = apply_changes(store, Changes("IWF", [item(1), item(2)], complete=True), LATER)
    assert (done.withdrawn, done.unchanged) == (3, 2)
    assert set(counting(store)) == {"case-1", "case-2", "case-7"}


def test_what_is_complete_in_parts_withdraws_there_only(store: Store) -> None:
    # In the order of code points, which is not that of a language: "B" < "a" < "é" < "\uffee" < "\U0001f600".
    names = ("B", "a", "b", "case-10", "case-2", "é", "\uffee", "\U0001f600")
    said = {name: item(number, reference=name) for number, name in enumerate(names)}
    apply_changes(store, Changes("IWF", list(said.values()), checkpoint="1"), NOW)
    apply_changes(store, Changes("other", [item(1, source="other", reference="a")], checkpoint="1"), NOW)

    kept = [said["b"], item(99, reference="a\U0001f600")]
    parts = (Part("a", "case-2"), Part("\uffee", "\U0001f600"))
    done = apply_changes(store, Changes("IWF", kept, complete=True, parts=parts, checkpoint="2"), LATER)
    assert (done.added, done.withdrawn, done.unchanged) == (1, 3, 1)
    assert set(counting(store)) == {"a", "B", "b", "a\U0001f600", "case-2", "é", "\U0001f600"}
    assert verify(store).ok

    done = apply_changes(store, Changes("IWF", [], complete=True, parts=[Part("é")], checkpoint="3"), LATER)
    assert done.withdrawn == 2
    done = apply_changes(store, Changes("IWF", [], complete=True, parts=[Part(end="b")], checkpoint="4"), LATER)
    assert set(counting(store)) == {"a", "b", "case-2"}, "`a` is another source's"
    assert done.withdrawn == 2


def test_a_part_is_found_by_an_index(store: Store) -> None:
    apply_changes(store, Changes("IWF", [item(n) for n in range(300)], checkpoint="1"), NOW)
    on_postgresql = store.engine.dialect.name == "postgresql"
    bounds = ("reference ~>=~ 'b'", "reference ~<~ 'd'") if on_postgresql else ("reference >= 'b'", "reference < 'd'")
    query = f"SELECT digest, reference FROM indicators WHERE source = 'IWF' AND withdrawn_at IS NULL AND {bounds[0]}"
    with store.write() as connection:
        if on_postgresql:  # of a small table it would read all
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        explain = "EXPLAIN" if on_postgresql else "EXPLAIN QUERY PLAN"
        plan = str(connection.exec_driver_sql(f"{explain} {query} AND {bounds[1]}").all())
    assert "ix_indicators_counting" in plan
    assert plan.count("reference") >= 2, "both bounds are searched for, not filtered"
    assert "Filter" not in plan


def test_parts_are_of_what_is_complete_and_hold_what_is_said() -> None:
    with pytest.raises(ValueError, match="parts"):
        Changes("IWF", [item(1)], parts=[Part()])
    with pytest.raises(ValueError, match="none of the parts"):
        Changes("IWF", [item(1), item(3)], complete=True, parts=[Part("case-1", "case-2"), Part("case-4")])
    changes = Changes("IWF", [item(1)], complete=True, parts=[Part("case-1", "case-2"), Part("case-4")])
    assert [changes.covers(f"case-{n}") for n in range(6)] == [False, True, False, False, True, True]
    assert Changes("IWF", [], complete=True).covers("case-1")
    assert not Changes("IWF", []).covers("case-1")
    assert contents_digest(changes) != contents_digest(replace(changes, parts=()))


def test_what_is_withdrawn_and_said_again_counts_again(store: Store) -> None:
    gone = Withdrawn(item(1).digest, "case-1")
    apply_changes(store, Changes("IWF", [item(1)]), NOW)
    assert apply_changes(store, Changes("IWF", [item(1)], [gone]), NOW).withdrawn == 1
    assert counting(store) == {}
    assert apply_changes(store, Changes("IWF", [item(1)]), LATER).added == 1
    assert set(counting(store)) == {"case-1"}


def test_of_one_name_twice_in_a_batch_the_later_counts(store: Store) -> None:
    apply_changes(store, Changes("IWF", [item(1, confidence=20), item(1, confidence=30)]), NOW)
    assert counting(store) == {"case-1": 30}


def test_a_source_speaks_for_itself_only() -> None:
    with pytest.raises(ValueError, match="not of the source `NCMEC`"):
        Changes("NCMEC", [item(1)])


def test_a_batch_that_fails_half_way_leaves_nothing_behind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_changes(store, Changes("IWF", [item(1)], checkpoint="1"), NOW)

    def broken(*_: object) -> None:
        raise RuntimeError("the power went out")

    monkeypatch.setattr(feeding, "_note", broken)
    with pytest.raises(RuntimeError):
        apply_changes(store, Changes("IWF", [item(1, confidence=1), item(2)], complete=True, checkpoint="2"), LATER)
    assert counting(store) == {"case-1": 90}
    assert len(logged(store)) == 1
    with store.read() as connection:
        assert checkpoint_of(connection, "IWF") == "1"


def batches(connection: Connection) -> int:
    return int(connection.execute(text("SELECT COUNT(*) FROM indicator_batches")).scalar_one())


def test_what_is_done_first_stays_when_the_batch_waits_and_goes_when_it_is_refused(store: Store) -> None:
    see(store, item(1).digest, "m_1", "m_2")

    def first(connection: Connection) -> None:
        see_on(connection, item(9).digest, "m_9")

    def fails(connection: Connection) -> None:
        see_on(connection, item(8).digest, "m_8")
        raise NotFound("the lease is somebody else's")

    with pytest.raises(NotFound):
        apply_changes(store, Changes("IWF", [item(1)]), NOW, first=fails)
    with pytest.raises(ApprovalRequired):
        apply_changes(store, Changes("IWF", [item(1)]), NOW, most_matches=1, first=first)
    with store.read() as connection:
        seen = connection.execute(text("SELECT merchant FROM sightings ORDER BY merchant")).scalars().all()
    assert (seen, counting(store)) == (["m_1", "m_2", "m_9"], {})


def test_a_batch_that_matches_too_many_merchants_waits_for_a_person_and_then_goes_through(store: Store) -> None:
    see(store, item(1).digest, "m_1", "m_2")
    see(store, item(2).digest, "m_2", "m_3")
    batch = Changes("IWF", [item(1), item(2), item(3)], checkpoint="1")
    for _ in range(2):  # the feed tries again and again
        with pytest.raises(ApprovalRequired, match="would match 3 merchants at once, and may match 2"):
            apply_changes(store, batch, NOW, most_matches=2)
    assert counting(store) == {}
    with store.read() as connection:
        assert checkpoint_of(connection, "IWF") is None
        (one,) = waiting(connection)
    assert (one.digest, one.source, one.added, one.matches, one.approved_by) == (
        contents_digest(batch), "IWF", 3, 3, None,
    )  # fmt: skip

    with store.write() as connection:
        approve(connection, one.digest, "ada", "looked at all three", NOW)
    with store.write() as connection, pytest.raises(NotFound):
        approve(connection, one.digest, "ada", "again", NOW)
    with pytest.raises(ApprovalRequired):  # somebody agreed to something else
        apply_changes(store, replace(batch, said=[item(1), item(2), item(4)]), LATER, most_matches=2)

    done = apply_changes(store, batch, LATER, most_matches=2)
    assert (done.added, done.matches) == (3, 3)
    with store.read() as connection:
        assert [each.digest == one.digest for each in waiting(connection)] == [False]
        assert batches(connection) == 1
    kinds = [kind for kind, _ in logged(store)]
    assert kinds == ["indicators.waiting", "indicators.approved", "indicators.waiting", "indicators.changed"]
    assert verify(store).ok


def test_what_counts_already_is_no_new_match(store: Store) -> None:
    see(store, item(1).digest, "m_1", "m_2", "m_3")
    apply_changes(store, Changes("IWF", [item(1)]), NOW)
    done = apply_changes(store, Changes("IWF", [item(1, confidence=80)]), LATER, most_matches=0)
    assert (done.corrected, done.matches) == (1, 0)
