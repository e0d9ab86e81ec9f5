"""What a batch newly says of merchants that were seen already is judged at once, exactly once, whoever is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Indicator, Withdrawn
from paycordon.decisions import Decision, Outcome
from paycordon.errors import ApprovalRequired
from paycordon.events import Event, Identifier
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.rescreening import Rescreening
from paycordon.review import directives
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, covert, holds, schema
from paycordon.store.directives import Kind, Terms
from paycordon.store.feeding import apply_changes
from paycordon.store.indicator_rows import row_of
from paycordon.store.newly import weighs_more
from paycordon.testing import FrozenClock, make_event
from paycordon.testing.clock import NOON

POLICY = """\
policy: merchants
version: 1
on_error: review
rules:
  - id: known
    on: [merchant.onboarding, merchant.changed]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
DIGESTER = Digester({"k1": b"k" * 32}, "k1")


class Scene:
    """An engine, merchants that it has seen, and a source."""

    def __init__(self, store: Store, clock: FrozenClock, directory: Path) -> None:
        (directory / "policy.yaml").write_text(POLICY)
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        policies = load_policies([directory / "policy.yaml"])
        plugins = Plugins({"checks": builtin_checks})
        self.store, self.clock = store, clock
        self.cordon = Cordon(store, policies, plugins, DIGESTER, limits=limits, clock=clock)
        self.duty = Rescreening(store, self.cordon, clock)

    def meet(self, merchant: str, *instances: str) -> None:
        for instance in instances:
            event = make_event(
                "merchant.onboarding",
                id=f"{merchant}-{instance}",
                instance=instance,
                merchant={"id": merchant, "country": "NL"},
                account={"id": f"acct_{merchant}"},
                identifiers=({"kind": "email", "value": f"{merchant}@shop.example"},),
            )
            assert self.cordon.screen(event).outcome is Outcome.ALLOW

    def say(self, *merchants: str, reference: str = "R") -> None:
        digests = [DIGESTER.digest(Identifier(kind="email", value=f"{each}@shop.example")) for each in merchants]
        said = [Indicator("email", digest, "IWF", reference, 90, "allegation") for digest in digests]
        apply_changes(self.store, Changes("IWF", said=said), self.clock())

    def listed(self) -> list[tuple[Event, Decision]]:
        """All that was screened because of what the source said."""
        events, decisions = schema.events.c, schema.decisions.c
        query = select(events.body, decisions.body).join_from(
            *(schema.events, schema.decisions),
            (events.instance == decisions.instance) & (events.id == decisions.event_id),
        )
        with self.store.read() as connection:
            rows = connection.execute(query.where(events.id.like("listed-%")).order_by(events.position)).all()
        return [(Event.model_validate_json(e), Decision.model_validate_json(d)) for e, d in rows]

    def wanted(self) -> int:
        with self.store.read() as connection:
            return connection.execute(select(func.count()).select_from(schema.rescreenings)).scalar_one()


@pytest.fixture
def scene(store: Store, clock: FrozenClock, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(store, clock, tmp_path)
    yield made
    made.cordon.close()


def test_merchants_that_were_seen_already_are_held_before_anything_is_asked_for(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu", "adyen_nl")
    scene.meet("m_2", "stripe_eu")
    for merchant in ("m_1", "m_2"):
        paid = {"merchant": {"id": merchant}, "account": {"id": f"acct_{merchant}"}, "instance": "stripe_eu"}
        scene.cordon.screen(make_event("payment.succeeded", id=f"paid-{merchant}", **paid))
    assert not scene.duty.step()
    scene.say("m_1", "nobody")
    assert scene.wanted() == 1
    assert scene.duty.step()
    assert not scene.duty.step()
    assert scene.wanted() == 0

    found = scene.listed()
    assert {event.instance for event, _ in found} == {"stripe_eu", "adyen_nl"}
    assert {(event.type, event.occurred_at, event.identifiers) for event, _ in found} == {
        ("merchant.changed", scene.clock(), ())
    }
    assert {(event.merchant.id, event.merchant.country) for event, _ in found} == {("m_1", "NL")}
    assert {decision.outcome for _, decision in found} == {Outcome.HOLD}
    assert {f.evidence["relation"] for _, d in found for f in d.findings if f.code == "indicator.match"} == {"known"}
    with scene.store.read() as connection:
        assert [hold.merchant for hold in holds.listed(connection)] == ["m_1"], "one hold, for all its accounts"
    assert verify(scene.store).ok


def test_what_is_said_again_screens_nobody_again_and_what_is_new_does(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu")
    scene.say("m_1")
    scene.clock.advance(timedelta(seconds=1))
    scene.say("m_1", reference="another")
    assert (scene.wanted(), scene.duty.step(), scene.duty.step()) == (1, True, False), "one event for both"
    scene.say("m_1", reference="another")
    assert scene.wanted() == 0
    assert len(scene.listed()) == 1


def test_under_a_keep_open_request_nothing_shows_and_it_is_remembered(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu")
    now, rhea = scene.clock(), Person("rhea", frozenset({Role.RESTRICTED}))
    terms = Terms(Kind.KEEP_OPEN, "m_1", "", "Synthetic Bureau", "LETTER-7", now, now + timedelta(days=30))
    with scene.store.write() as connection:
        directive = directives.place(connection, terms, by=rhea, reason="letter", now=now, longest=timedelta(days=183))
    scene.say("m_1")
    assert scene.duty.step()
    ((_, decision),) = scene.listed()
    assert (decision.outcome, decision.findings) == (Outcome.ALLOW, ())
    with scene.store.read() as connection:
        assert holds.listed(connection) == []
        (covered,) = covert.of_directive(connection, directive.id)
    assert covered.decision.outcome is Outcome.HOLD


def test_what_cannot_be_recorded_is_tried_again_later(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.meet("m_1", "stripe_eu")
    scene.say("m_1")
    with monkeypatch.context() as broken:
        broken.setattr("paycordon.screening.record", lambda *_: 1 / 0)
        assert scene.duty.step()
    assert not scene.duty.step(), "not at once"
    scene.clock.advance(timedelta(seconds=11))
    assert scene.duty.step()
    assert (scene.wanted(), len(scene.listed())) == (0, 1)


def test_a_merchant_that_is_seen_while_the_batch_comes_in_is_not_missed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is committed between the snapshot of the merchant's first event and its decision."""
    from paycordon import screening

    event = make_event("merchant.onboarding", identifiers=({"kind": "email", "value": "m_1@shop.example"},))
    read, said = screening.context, list[bool]()

    def context(*arguments: object) -> object:
        known = read(*arguments)  # type: ignore[arg-type]
        if not said:
            said.append(True)
            scene.say("m_1")
        return known

    monkeypatch.setattr(screening, "context", context)
    assert scene.cordon.screen(event).outcome is Outcome.HOLD
    assert scene.wanted() == 0

    def another(*arguments: object) -> object:
        known = read(*arguments)  # type: ignore[arg-type]
        said.append(True)
        scene.say("somebody else", reference=str(len(said)))
        return known

    monkeypatch.setattr(screening, "context", another)
    other = make_event("merchant.onboarding", id="other", merchant={"id": "m_2"}, account={"id": "acct_2"})
    assert not scene.cordon.screen(other).id.startswith("unrecorded")
    assert len(said) == 2, "a feed that never rests keeps nobody else from being judged"


def stated(merchant: str, confidence: int = 90, status: str = "allegation", **fields: Any) -> Indicator:
    digest = DIGESTER.digest(Identifier(kind="email", value=f"{merchant}@shop.example"))
    return Indicator("email", digest, fields.pop("source", "IWF"), "R", confidence, status, **fields)


def say_of(scene: Scene, *said: Indicator, **options: Any) -> int:
    applied = apply_changes(scene.store, Changes(said[0].source, said=said), scene.clock(), **options)
    return applied.matches


def work(scene: Scene) -> int:
    """Do all that is due, and return how many merchants were screened for it so far."""
    while scene.duty.step():
        pass
    return len(scene.listed())


def test_what_counts_from_some_day_on_is_judged_on_that_day(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu")
    begins = scene.clock() + timedelta(days=3)
    say_of(scene, stated("m_1", valid_from=begins))
    assert (scene.wanted(), work(scene)) == (0, 0), "it does not count yet"
    scene.meet("m_2", "stripe_eu")  # seen after it was stated, before it counts
    say_of(scene, stated("m_1", valid_from=begins), stated("m_2", valid_from=begins))

    scene.clock.advance(timedelta(days=3))
    assert work(scene) == 0, "a decision made just before may not be recorded yet"
    scene.clock.advance(timedelta(seconds=31))
    assert work(scene) == 2
    assert {decision.outcome for _, decision in scene.listed()} == {Outcome.HOLD}
    scene.clock.advance(timedelta(days=1))
    assert work(scene) == 2, "once"
    assert verify(scene.store).ok


def test_a_worker_that_was_dead_on_that_day_acts_when_it_lives_again(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu")
    say_of(scene, stated("m_1", valid_from=scene.clock() + timedelta(days=3)))
    scene.clock.advance(timedelta(days=30))
    assert work(scene) == 1


def test_what_is_taken_back_or_moved_before_its_day_screens_nobody_on_it(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu")
    scene.meet("m_2", "stripe_eu")
    begins = scene.clock() + timedelta(days=3)
    first, second = (stated(each, valid_from=begins) for each in ("m_1", "m_2"))
    say_of(scene, first, second)
    later = stated("m_2", valid_from=begins + timedelta(days=9))
    apply_changes(scene.store, Changes("IWF", said=[later], withdrawn=[Withdrawn(first.digest, "R")]), scene.clock())
    scene.clock.advance(timedelta(days=4))
    assert work(scene) == 0
    scene.clock.advance(timedelta(days=9))
    assert [event.merchant.id for event, _ in (work(scene), scene.listed())[1]] == ["m_2"]


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        ({"confidence": 40}, {"confidence": 41}, True),
        ({"confidence": 40}, {"confidence": 39}, False),
        ({"status": "allegation"}, {"status": "conviction"}, True),
        ({"status": "allegation"}, {"status": "refuted"}, False),
        ({"status": "refuted"}, {"status": "allegation"}, True),
        ({"category": "one"}, {"category": "another"}, False),
        ({"valid_until": NOON - timedelta(days=1)}, {"valid_until": NOON + timedelta(days=1)}, True),
        ({"valid_until": NOON + timedelta(days=1)}, {"valid_until": NOON + timedelta(days=2)}, False),
        (
            {"half_life_days": 30, "last_seen": NOON - timedelta(days=90)},
            {"half_life_days": 30, "last_seen": NOON},
            True,
        ),
        (
            {"half_life_days": 90, "last_seen": NOON - timedelta(days=1)},
            {"half_life_days": 90, "last_seen": NOON},
            False,
        ),
        (
            {"half_life_days": 30, "last_seen": NOON - timedelta(days=90)},
            {"last_seen": NOON - timedelta(days=90)},
            True,
        ),
    ],
)
def test_what_is_stated_anew_weighs_more_or_not(before: dict[str, Any], after: dict[str, Any], more: bool) -> None:
    assert weighs_more(row_of(stated("m_1", **before)), row_of(stated("m_1", **after)), NOON) is more


def test_what_is_stated_anew_and_weighs_more_is_judged_at_once(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu")
    say_of(scene, stated("m_1", 40))
    assert work(scene) == 1
    scene.clock.advance(timedelta(seconds=1))
    assert say_of(scene, stated("m_1", 30)) == 0
    assert work(scene) == 1
    assert say_of(scene, stated("m_1", 90)) == 1
    assert work(scene) == 2


def test_what_is_no_longer_denied_is_judged_again(scene: Scene) -> None:
    scene.meet("m_1", "stripe_eu")
    ends = scene.clock() + timedelta(days=9)
    denied = stated("m_1", source="Appeals", status="refuted", valid_until=ends)
    say_of(scene, denied)
    say_of(scene, stated("m_1"))
    assert work(scene) == 1
    scene.clock.advance(timedelta(days=9, minutes=1))
    assert work(scene) == 2, "the denial has ended by itself"

    say_of(scene, stated("m_1", source="Appeals", status="refuted"))
    scene.clock.advance(timedelta(seconds=1))
    apply_changes(scene.store, Changes("Appeals", withdrawn=[Withdrawn(denied.digest, "R")]), scene.clock())
    assert work(scene) == 3, "its source has taken it back"


def test_whoever_raises_many_at_once_waits_for_a_person_as_whoever_adds_many(scene: Scene) -> None:
    merchants = [f"m_{number}" for number in range(3)]
    for each in merchants:
        scene.meet(each, "stripe_eu")
        say_of(scene, stated(each, confidence=5), most_matches=2)
    begun = work(scene)
    with pytest.raises(ApprovalRequired):
        say_of(scene, *(stated(each) for each in merchants), most_matches=2)
    assert (scene.wanted(), work(scene)) == (0, begun)


def test_killed_while_it_turns_nothing_is_lost_and_nothing_is_doubled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.meet("m_1", "stripe_eu")
    say_of(scene, stated("m_1", valid_from=scene.clock() + timedelta(days=1)))
    scene.clock.advance(timedelta(days=2))
    with monkeypatch.context() as broken:
        broken.setattr("paycordon.store.newly.want", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            scene.duty.step()
    assert scene.wanted() == 0, "all of it is one transaction"
    assert work(scene) == 1


KILLED = """
import json, os, signal, sys
from datetime import timedelta
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_rescreening import Scene, verify
from paycordon import rescreening, screening
from paycordon.store import Store, feeding
from paycordon.store import rescreening as stored
from paycordon.store.holds import listed
from paycordon.testing import FrozenClock

directory, clock = Path(sys.argv[1]), FrozenClock()

def die_after(module, name):
    original = getattr(module, name)
    def call(*arguments, **named):
        original(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(module, name, call)

def apart(work):
    # In a process of its own, so that nothing of a killed one is left but what is in the file.
    child = os.fork()
    if not child:
        scene = Scene(Store.open(f"sqlite:///{directory / 'killed.db'}"), clock, directory)
        work(scene)
        sys.stdout.flush()
        os._exit(0)
    return os.waitpid(child, 0)[1]

def killed(module, name, work):
    def doomed(scene):
        die_after(module, name)
        work(scene)
    assert apart(doomed) == signal.SIGKILL

apart(lambda scene: scene.meet("m_1", "stripe_eu", "adyen_nl"))
say, step = lambda scene: scene.say("m_1"), lambda scene: scene.duty.step()
killed(feeding.newly, "want", say)         # before the batch is committed
apart(lambda scene: print(json.dumps([scene.wanted()])))
apart(say)
for module, name in ((stored, "claim"), (screening, "record"), (screening.Cordon, "screen")):
    killed(module, name, step)
    clock.advance(timedelta(seconds=61))
def finish(scene):
    while scene.duty.step():
        pass
    with scene.store.read() as connection:
        found = [len(scene.listed()), len(listed(connection)), scene.wanted(), verify(scene.store).ok]
    print(json.dumps(found))
apart(finish)
"""


def test_killed_at_any_step_nothing_is_lost_and_nothing_is_doubled(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), here], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    before, after = map(json.loads, done.stdout.splitlines())
    assert before == [0], "the batch that was killed left nothing"
    assert after == [2, 1, 0, True], "an event at each instance, one hold, nothing left to do, a log that verifies"
