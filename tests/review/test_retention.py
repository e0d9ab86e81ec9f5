"""What is past its time goes, all of it and nothing else, and the log proves that exactly this was erased."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from paycordon.coalition.identifiers import Digester
from paycordon.decisions import Decision, Outcome, Scope
from paycordon.errors import Conflict, NotFound
from paycordon.events import Event
from paycordon.gateways import Performed
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.apart import digest_apart, forget, is_of
from paycordon.record.log import digest_of, salted_digest
from paycordon.record.verify import verify
from paycordon.review import actions
from paycordon.review.retention import Retention, erase_merchant
from paycordon.screening import Cordon, Limits
from paycordon.sections import RetentionSection
from paycordon.store import Store, acts, cases, decisions, erasure, holds, schema, snoozes
from paycordon.store.acts import NewAct
from paycordon.store.erasure import Erased, Erasing
from paycordon.store.holds import NewHold, Source
from paycordon.store.proposals import Kind, NewProposal, decide, propose
from paycordon.store.schema import from_micros
from paycordon.store.snoozes import NewSnooze
from paycordon.testing import NOON, FrozenClock, make_event

POLICY = """\
policy: payouts
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
NAME = "Synthetic Personal Name"
DAY = timedelta(days=1)


class Scene:
    """A store, an engine on it, and a clock; merchants are `m_1`, `m_2` and so on."""

    def __init__(self, store: Store, directory: Path, digester: Digester, clock: FrozenClock) -> None:
        self.store, self.clock = store, clock
        path = directory / "payouts.yaml"
        path.write_text(POLICY)
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        self.cordon = Cordon(store, load_policies([path]), Plugins({}), digester, limits=limits, clock=clock)

    def screen(self, number: int, merchant: int, minor: int = 100, type_: str = "payout.requested") -> Decision:
        return self.cordon.screen(self.event(number, merchant, minor, type_))

    def event(self, number: int, merchant: int, minor: int = 100, type_: str = "payout.requested") -> Event:
        part = {"id": f"x_{number}", "amount": {"minor": minor, "currency": "EUR"}}
        return make_event(
            type_,
            id=f"evt_{number}",
            account={"id": f"acct_{merchant}"},
            merchant={"id": f"m_{merchant}", "name": f"{NAME} {merchant}"},
            identifiers=[{"kind": "email", "value": f"owner{merchant}@shop.example"}],
            occurred_at=self.clock(),
            **{"payment" if type_.startswith("payment") else "payout": part},
        )

    def free(self, merchant: int) -> None:
        """Release a merchant's holds and close its cases."""
        with self.store.write() as connection:
            for hold in holds.listed(connection, merchant=f"m_{merchant}"):
                holds.release(connection, hold.id, by="ada", reason=f"{NAME} was fine", now=self.clock())
            ada, first = Person("ada", frozenset({Role.ANALYST})), from_micros(1)
            for case in cases.queue(connection, states=list(cases.State), merchant=f"m_{merchant}"):
                if case.state is cases.State.CLOSED:
                    actions.reopen(connection, case.id, by=ada, reason="once more", now=self.clock())
                actions.close_unheld(connection, case.id, by=ada, reason="long ago", now=first)

    def erase(self, merchant: int) -> Erased:
        return erase_merchant(self.store, f"m_{merchant}", by="ada", basis="art. 17", clock=self.clock)

    def edit(self, *statements: str) -> None:
        with self.store.write() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def problems(self) -> list[str]:
        return [problem.text for problem in verify(self.store).problems]

    def everything(self) -> str:
        """All rows of all tables as text."""
        with self.store.read() as connection:
            tables = schema.metadata.tables.items()
            rows = {name: [tuple(row) for row in connection.execute(select(t))] for name, t in tables}
        return repr(rows)

    def rows(self, table: str, **where: object) -> int:
        columns = schema.metadata.tables[table].c
        with self.store.read() as connection:
            query = select(columns[0] if len(columns) else None).where(*(columns[n] == v for n, v in where.items()))
            return len(connection.execute(query).all())


@pytest.fixture
def scene(store: Store, tmp_path: Path, digester: Digester, clock: FrozenClock) -> Iterator[Scene]:
    made = Scene(store, tmp_path, digester, clock)
    yield made
    made.cordon.close()


@pytest.fixture
def busy(scene: Scene) -> Scene:
    """What `make_busy` makes."""
    return make_busy(scene)


@pytest.fixture
def sqlite_busy(sqlite_store: Store, tmp_path: Path, digester: Digester, clock: FrozenClock) -> Iterator[Scene]:
    """The same on SQLite alone, for what the database makes no difference to."""
    made = Scene(sqlite_store, tmp_path, digester, clock)
    yield make_busy(made)
    made.cordon.close()


def make_busy(scene: Scene) -> Scene:
    """Two merchants with payouts, payments and a released hold each, within one hour and over several."""
    for number in range(12):
        scene.clock.advance(timedelta(minutes=20))
        type_ = "payment.succeeded" if number % 3 == 2 else "payout.requested"
        scene.screen(number, 1 + number % 2, 200_000 if number < 2 else 100 + number, type_)
    scene.free(1)
    scene.free(2)
    return scene


def test_a_merchant_is_erased_and_everybody_else_stays(busy: Scene) -> None:
    assert busy.erase(1) == Erased(events=6, decisions=4, holds=1)

    left = busy.everything()
    assert f"{NAME} 1" not in left
    assert f"{NAME} 2" in left
    assert busy.rows("sightings", merchant="m_1") == busy.rows("facts", merchant="m_1") == 0
    assert busy.rows("hours", merchant="m_1") == busy.rows("cases", merchant="m_1") == 0
    assert busy.rows("facts", merchant="m_2") > 0
    assert busy.rows("sightings", merchant="m_2") == 2  # an address, and the domain in it
    assert busy.rows("events", merchant="m_1", body="") == 6
    assert busy.problems() == []
    assert busy.erase(1) == Erased()
    assert busy.problems() == []


def test_a_hold_that_a_person_placed_goes_too(busy: Scene) -> None:
    wanted = NewHold(
        *("m_1", "acme", "acct_1", "account", "acct_1", Outcome.HOLD, Scope.PAYOUTS, "by_hand", "", Source.PERSON),
        placed_by="ada",
        internal_reason=f"{NAME} 1 was seen",
    )
    with busy.store.write() as connection:
        holds.place_by_hand(connection, wanted, busy.clock(), secrets.token_bytes)
    busy.free(1)
    assert busy.problems() == []
    assert busy.erase(1) == Erased(events=6, decisions=4, holds=2)
    assert f"{NAME} 1" not in busy.everything()
    assert busy.problems() == []


def test_a_proposal_stands_against_it_until_it_lapses(busy: Scene) -> None:
    proposal = NewProposal(Kind.BLOCK, "m_1", "acct_1", {}, "why", "ada", busy.clock() + DAY)
    with busy.store.write() as connection:
        propose(connection, proposal, busy.clock(), secrets.token_bytes)
    with pytest.raises(Conflict, match="an open proposal"):
        busy.erase(1)
    busy.clock.advance(2 * DAY)
    assert busy.erase(1).events == 6
    assert busy.problems() == []


def test_nothing_of_an_erased_name_is_left_in_the_files_of_sqlite(
    sqlite_store: Store, tmp_path, digester, clock
) -> None:
    scene = Scene(sqlite_store, tmp_path, digester, clock)
    for number in range(4):
        scene.screen(number, 1, 200_000)
    assert NAME.encode() in b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    scene.free(1)
    scene.erase(1)
    scene.cordon.close()
    sqlite_store.close()
    assert NAME.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE holds SET released_at = NULL WHERE merchant = 'm_1'", "a hold in force"),
        ("UPDATE cases SET closed_at = NULL WHERE merchant = 'm_1'", "an open case"),
        (
            "INSERT INTO clocks (id, subject_kind, subject_id, merchant, kind, source, started_at, due_at, state, "
            "restricted) VALUES (1, 'case', 'c', 'm_1', 'legal', 'x', 0, 0, 'running', 0)",
            "a running clock",
        ),
    ],
)
def test_nothing_is_erased_while_something_stands(busy: Scene, statement: str, told: str) -> None:
    busy.edit(statement)
    with pytest.raises(Conflict, match=told):
        busy.erase(1)
    assert f"{NAME} 1" in busy.everything()
    with pytest.raises(NotFound):
        busy.erase(9)


DIRECTIVE = (
    "INSERT INTO directives (id, kind, merchant, agency, reference, scope, starts_at, ends_at, flags, placed_by, "
    "placed_at) VALUES ('dir_1', 'keep_open', 'm_1', 'agency', 'ref', 'all', 0, 1, '{}', 'eve', 0)"
)


def test_a_directive_makes_no_difference_that_others_see_and_keeps_what_it_must(busy: Scene) -> None:
    busy.edit(DIRECTIVE)
    with_it, without_it = busy.erase(1), busy.erase(2)
    assert with_it == without_it
    assert [busy.rows("erasures"), busy.problems()] == [with_it.total + without_it.total, []]
    with busy.store.read() as connection:
        kinds = [row.kind for row in connection.execute(text("SELECT kind FROM log WHERE kind LIKE 'erased%'"))]
        payloads = connection.execute(text("SELECT payload FROM log WHERE kind = 'erased' ORDER BY seq")).scalars()
        assert [sorted(json.loads(each)) for each in payloads] == [sorted(_ENTRY)] * 2
        assert kinds == ["erased", "erased.merchant"] * 2
        kept = erasure.withheld(connection, "m_1")
        assert erasure.withheld(connection, "m_2") == []
    assert {each["kind"] for each in kept} == {"event", "decision", "hold", "cases", "case_events", "salts"}
    assert sum(f"{NAME} 1" in each["body"] for each in kept if each["kind"] == "event") == 6


_ENTRY = ("by", "basis_digest", "digest", "events", "decisions", "holds")


def test_what_a_directive_kept_goes_five_years_after_its_end(busy: Scene) -> None:
    busy.edit(DIRECTIVE)
    busy.erase(1)
    work = Retention(busy.store, RetentionSection(), busy.clock)
    busy.edit(f"UPDATE directives SET ended_at = {schema.micros(busy.clock())}")
    busy.clock.advance(5 * 365 * DAY)
    work.run()
    assert busy.rows("withheld", merchant="m_1") > 0
    busy.clock.advance(7 * DAY)
    work.run()
    assert busy.rows("withheld") == 0
    assert f"{NAME} 1" not in busy.everything()


def test_events_and_decisions_go_after_their_own_periods(scene: Scene) -> None:
    for number in range(9):
        scene.screen(number, 1)
        scene.screen(100 + number, 1, type_="payment.succeeded")
        scene.clock.advance(10 * DAY)
    periods = RetentionSection.model_validate({"events": "60d", "decisions": "30d"})
    work = Retention(scene.store, periods, scene.clock)

    report = {due.name: due for due in work.report()}
    assert (report["events"].due, report["decisions"].due, report["cases"].period) == (6, 6, None)
    assert report["events"].next_at == NOON + 90 * DAY
    work.run()

    assert (scene.rows("events", body=""), scene.rows("decisions", body="")) == (6, 6)
    assert scene.problems() == []
    assert {due.due for due in work.report()} == {0}
    scene.clock.advance(60 * DAY)
    work.run()
    assert scene.rows("facts") == scene.rows("hours") == scene.rows("sightings") == 0
    assert scene.problems() == []
    scene.screen(200, 1)
    assert scene.problems() == []


def test_what_something_stands_against_is_kept_back_and_goes_later(scene: Scene) -> None:
    scene.screen(1, 1, 200_000)
    scene.screen(2, 2)
    scene.clock.advance(100 * DAY)
    everything = dict.fromkeys(("events", "decisions", "cases"), "60d")
    work = Retention(scene.store, RetentionSection.model_validate(everything), scene.clock)
    report = {due.name: (due.due, due.kept_back) for due in work.report()}
    assert report == {
        "events": (1, 1),
        "decisions": (1, 1),
        "cases": (0, 0),
        **dict.fromkeys(("acts", "proposals", "snoozes", "contributions", "feedback"), (0, 0)),
        **dict.fromkeys(("deliveries", "notices", "notifications", "inquiries"), (0, 0)),
    }
    work.run()
    assert f"{NAME} 1" in scene.everything()
    assert f"{NAME} 2" not in scene.everything()
    scene.free(1)
    work.run()
    assert f"{NAME}" not in scene.everything()
    assert scene.rows("cases") == scene.rows("case_events") == 0
    assert scene.problems() == []


def test_nothing_goes_without_a_period(busy: Scene) -> None:
    busy.clock.advance(50_000 * DAY)
    before = busy.everything()
    assert Retention(busy.store, RetentionSection(), busy.clock).run() == 0
    assert busy.everything() == before


def test_a_crash_in_between_leaves_whole_pages_and_the_rest_is_found_again(
    busy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paycordon.review.retention._PAGE", 2)

    class Killed(BaseException):
        pass

    def kill(done: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        erase_merchant(busy.store, "m_1", by="ada", basis="art. 17", clock=busy.clock, progress=kill)
    assert busy.rows("events", merchant="m_1", body="") == 2
    assert busy.problems() == []
    busy.erase(1)
    assert f"{NAME} 1" not in busy.everything()
    assert busy.problems() == []


def test_a_transaction_that_dies_erases_nothing(busy: Scene) -> None:
    before = busy.everything()

    def die() -> None:
        with busy.store.write() as connection:
            erasure.erase(connection, Erasing("ada", "art. 17", busy.clock()), events=[1])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die()
    assert busy.everything() == before


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE events SET body = '', salt = NULL WHERE id = 'evt_1'",
            "event `evt_1`: its text is gone, and no entry",
        ),
        ("UPDATE decisions SET body = '', salt = NULL WHERE event_id = 'evt_1'", "its text is gone, and no entry"),
        ("UPDATE events SET body = '{}' WHERE id = 'evt_0'", "event `evt_0`: was erased, as the log says, but is not"),
        ("UPDATE events SET type = 'payout.updated' WHERE id = 'evt_0'", "was erased, as the log says, but is not"),
        ("UPDATE events SET merchant = 'm_3' WHERE id = 'evt_0'", "its columns are not what the log says"),
        ("UPDATE decisions SET outcome = 'review' WHERE event_id = 'evt_4'", "its columns are not what the log says"),
        ("UPDATE decisions SET decided_at = 7 WHERE event_id = 'evt_0'", "was erased, as the log says, but is not"),
        ("UPDATE holds SET released_by = 'eve' WHERE merchant = 'm_1'", "its erasure is not what the log says"),
        ("UPDATE holds SET rule = 'payouts/large' WHERE merchant = 'm_1'", "was erased, as the log says, but is not"),
        ("UPDATE erasures SET digest = 'x' WHERE kind = 'event' AND id = '1'", "its erasure is not what the log says"),
        ("DELETE FROM erasures WHERE kind = 'decision'", "the erasures that it names are not what is stored"),
        ("DELETE FROM events WHERE id = 'evt_0'", "event `evt_0`: is missing"),
        (
            "INSERT INTO erasures (kind, id, digest, erased_at, erased_by, basis) "
            "VALUES ('event', '2', 'x', 0, 'e', 'b')",
            "`erasures`: has rows that no entry of the log names",
        ),
    ],
)
def test_the_log_accepts_exactly_what_it_says_was_erased(sqlite_busy: Scene, statement: str, told: str) -> None:
    sqlite_busy.erase(1)
    assert sqlite_busy.problems() == []
    sqlite_busy.edit(statement)
    assert any(told in problem for problem in sqlite_busy.problems()), sqlite_busy.problems()


def test_a_text_cannot_be_guessed_from_what_is_left_of_it(busy: Scene) -> None:
    event = busy.cordon.digester.conceal(busy.event(0, 1, 200_000))
    with busy.store.read() as connection:
        (body,) = connection.execute(text("SELECT body FROM events WHERE id = 'evt_0'")).scalars()
    exact = event.model_copy(update={"occurred_at": Event.model_validate_json(body).occurred_at})
    assert exact.model_dump_json(exclude_none=True) == body  # somebody has guessed it to the last letter
    busy.erase(1)
    assert digest_of(body) not in busy.everything()


def test_what_people_wrote_cannot_be_guessed_either(scene: Scene) -> None:
    words = f"{NAME} was fine"
    scene.screen(0, 1, 200_000)
    scene.screen(1, 2, 200_000)
    with scene.store.write() as connection:
        case = str(cases.of(connection, "m_1"))
        ada = Person("ada", frozenset({Role.ANALYST}))
        actions.note(connection, case, by=ada, text=words, now=scene.clock())
        until = scene.clock() + DAY
        snoozes.place(connection, NewSnooze("m_1", "p/r", until, words, "ada"), scene.clock(), secrets.token_bytes)
        wanted = NewProposal(Kind.SNOOZE, "m_1", "m_1 p/q", {}, words, "ada", until, case)
        made = propose(connection, wanted, scene.clock(), secrets.token_bytes)
        decide(connection, made, "declined", "bob", words, scene.clock())
    scene.free(1)
    scene.free(2)
    assert scene.problems() == []
    assert scene.rows("salts") == 11  # for each merchant a release, and that its case was opened and closed once more
    scene.clock.advance(2 * DAY)
    scene.edit("UPDATE clocks SET ended_at = 1")
    scene.erase(1)
    assert scene.rows("salts") == 3  # of the other merchant's
    assert digest_of(words) not in scene.everything()
    assert scene.problems() == []


def write_of(scene: Scene, merchant: int) -> tuple[str, ...]:
    """Let people write about a merchant wherever they can, and end all of it; returns the ids of what has the words."""
    words, who, random = f"{NAME} {merchant} wrote", f"m_{merchant}", secrets.token_bytes
    scene.screen(100 + merchant, merchant, 200_000)
    ada, now = Person("ada", frozenset({Role.ANALYST})), scene.clock()
    with scene.store.write() as connection:
        case = str(cases.of(connection, who))
        actions.note(connection, case, by=ada, text=words, now=now)
        parameters = json.dumps({"note": words})
        act = acts.ask(connection, NewAct("acme", f"acct_{merchant}", "refund", parameters, words, "ada"), now, random)
        snooze = snoozes.place(connection, NewSnooze(who, "p/r", now + DAY, words, "ada"), now, random)
        wanted = NewProposal(Kind.ACT, who, "about", {"parameters": words}, words, "ada", now + DAY, case)
        made = propose(connection, wanted, now, random)
        decide(connection, made, "declined", "bob", words, now)
    claimed = acts.claim(scene.store, "acme", "w", now, DAY)
    assert claimed is not None
    with scene.store.write() as connection:
        assert acts.done(connection, claimed, "w", Performed("re_1", "refunded", already=False), now)
    scene.free(merchant)
    return case, act.id, snooze.id, made.id


def logged(scene: Scene) -> str:
    with scene.store.read() as connection:
        return " ".join(connection.execute(select(schema.log.c.payload)).scalars())


def test_acts_proposals_and_snoozes_go_with_the_merchant_and_their_salts_with_them(scene: Scene) -> None:
    ids = write_of(scene, 1)
    write_of(scene, 2)
    assert scene.problems() == []
    assert digest_of(json.dumps({"note": f"{NAME} 1 wrote"})) not in logged(scene)
    scene.edit("UPDATE clocks SET ended_at = 1")
    scene.erase(1)
    left = scene.everything()
    assert (f"{NAME} 1" in left, f"{NAME} 2" in left) == (False, True)
    for table in ("acts", "proposals", "snoozes"):
        assert (scene.rows(table, merchant="m_1"), scene.rows(table, merchant="m_2")) == (0, 1)
    assert [scene.rows("salts", subject=id_) for id_ in ids] == [0, 0, 0, 0]
    assert scene.problems() == []


def test_acts_proposals_and_snoozes_go_after_their_periods(scene: Scene) -> None:
    ids = write_of(scene, 1)[1:]
    scene.edit("UPDATE clocks SET ended_at = 1")
    periods = RetentionSection.model_validate(dict.fromkeys(("acts", "proposals", "snoozes"), "10d"))
    work = Retention(scene.store, periods, scene.clock)
    scene.clock.advance(10 * DAY + timedelta(hours=1))
    due = {each.name: each.due for each in work.report()}
    assert [due[name] for name in ("acts", "proposals", "snoozes")] == [1, 1, 0]  # the snooze ended a day later
    assert work.run() == 2
    assert [scene.rows(name) for name in ("acts", "proposals", "snoozes")] == [0, 0, 1]
    scene.clock.advance(DAY)
    assert work.run() == 1
    assert [scene.rows("salts", subject=id_) for id_ in ids] == [0, 0, 0]
    assert scene.problems() == []


def test_an_act_that_is_not_done_and_what_is_held_keep_it_all_back(scene: Scene) -> None:
    write_of(scene, 1)
    scene.edit("UPDATE clocks SET ended_at = 1", "UPDATE acts SET state = 'stuck'")
    scene.clock.advance(20 * DAY)
    periods = RetentionSection.model_validate(dict.fromkeys(("acts", "proposals", "snoozes"), "10d"))
    work = Retention(scene.store, periods, scene.clock)
    assert work.run() == 0
    assert {each.name: each.kept_back for each in work.report() if each.period} == {
        "acts": 0,  # not past its time before it is done
        "proposals": 1,
        "snoozes": 1,
    }
    with pytest.raises(Conflict, match="an act that is not done"):
        scene.erase(1)


def test_what_is_withheld_can_be_compared_with_the_log(scene: Scene) -> None:
    ids = write_of(scene, 1)
    scene.edit("UPDATE clocks SET ended_at = 1", DIRECTIVE)
    scene.erase(1)
    assert scene.rows("salts", subject=ids[0]) == 0
    with scene.store.read() as connection:
        rows = connection.execute(select(schema.withheld).where(schema.withheld.c.kind == "salts")).all()
        kept = {
            each["kind"]: json.loads(each["body"])
            for each in erasure.withheld(connection, "m_1")
            if each["kind"] in ("acts", "proposals", "snoozes")
        }
    by_subject = {id_: [(row.id, row.salt) for row in rows if row.body == id_] for id_ in ids}
    words, log = f"{NAME} 1 wrote", logged(scene)
    for id_, pairs in by_subject.items():
        named = [digest for digest, salt in pairs if salted_digest(salt, words) == digest]
        assert named, id_
        assert all(digest in log for digest in named)
    texts = (kept["acts"]["parameters"], kept["proposals"]["detail"])
    for text_, id_ in zip(texts, (ids[1], ids[3]), strict=True):
        assert [digest for digest, salt in by_subject[id_] if salted_digest(salt, text_) == digest]
    assert (kept["acts"]["reason"], kept["snoozes"]["reason"]) == (words, words)
    assert scene.problems() == []


def test_what_the_first_versions_wrote_is_named_without_salt(sqlite_store: Store) -> None:
    with sqlite_store.write() as connection:
        salted = digest_apart(connection, "hold_1", "words")
        assert is_of(connection, digest_of("words"), "words")
        assert is_of(connection, salted, "words")
        assert not is_of(connection, salted, "other words")
        connection.execute(text("UPDATE salts SET salt = salt || 'wo'"))
        assert not is_of(connection, salted, "rds")
        forget(connection, "hold_1")
        assert not is_of(connection, salted, "words")


def test_what_was_erased_is_not_found_and_its_id_is_not_used_again(busy: Scene) -> None:
    event = busy.event(0, 1, 100)
    busy.erase(1)
    again = busy.cordon.screen(event)
    assert (again.outcome, again.id.startswith("unrecorded_")) == (Outcome.HOLD, True)
    with busy.store.read() as connection:
        assert decisions.of_event(connection, "acme", "evt_0") is None
        (id_,) = connection.execute(text("SELECT id FROM decisions WHERE event_id = 'evt_0'")).scalars()
        for look in (lambda: decisions.get(connection, id_), lambda: decisions.event_of(connection, "acme", "evt_0")):
            with pytest.raises(NotFound, match="was erased"):
                look()
    assert busy.screen(50, 1).outcome is Outcome.ALLOW
    assert busy.problems() == []


def test_rows_of_other_classes_go_after_their_period(scene: Scene) -> None:
    scene.edit(
        "INSERT INTO deliveries (id, instance, message_id, type, received_at, state, failures, due_at, lease_until) "
        "VALUES (1, 'acme', 'a', 't', 0, 'done', 0, 0, 0), (2, 'acme', 'b', 't', 0, 'waiting', 0, 0, 0)",
        "INSERT INTO notifications (id, endpoint, message_id, type, merchant, body, created_at, state, failures, "
        "due_at, delivered_at, lease_until) VALUES (1, 'e', 'a', 't', 'm_1', '{}', 0, 'delivered', 0, 0, 0, 0), "
        "(2, 'e', 'b', 't', 'm_1', '{}', 0, 'waiting', 0, 0, NULL, 0)",
        "INSERT INTO notices (id, merchant, subject_id, kind, language, text, fields, created_at, sent_at) "
        "VALUES ('n_1', 'm_1', 's', 'k', 'en', 't', '{}', 0, 0), ('n_2', 'm_1', 's', 'k', 'en', 't', '{}', 0, NULL)",
    )
    every = dict.fromkeys(("deliveries", "notifications", "notices"), "1y")
    Retention(scene.store, RetentionSection.model_validate(every), scene.clock).run()
    assert [scene.rows(name) for name in every] == [1, 1, 1]
    with scene.store.read() as connection:
        logged = connection.execute(text("SELECT payload FROM log WHERE kind = 'retention' ORDER BY seq")).scalars()
        assert [json.loads(each)["class"] for each in logged] == ["deliveries", "notices", "notifications"]


@pytest.mark.parametrize("period", ["30", "0d", "5 years", "-1d", 30, "1h"])
def test_a_period_that_cannot_be_meant_is_refused(period: object) -> None:
    with pytest.raises(ValueError, match="a period is written as"):
        RetentionSection.model_validate({"events": period})


def test_a_year_is_never_shorter_than_a_year() -> None:
    assert RetentionSection.model_validate({"events": "5y"}).events == 5 * 366 * DAY
