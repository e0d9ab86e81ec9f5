"""Looks at feeds: under a lease, whole or not at all, and one that is dead or forged delays and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import text

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Indicator, Withdrawn
from paycordon.errors import ApprovalRequired, FeedRefused, RetryLater, StoreUnavailable
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.metrics import Metrics
from paycordon.pulling import Pulled, Pulling
from paycordon.store import Store
from paycordon.store.feeding import approve, checkpoint_of, waiting
from paycordon.store.feeds import FeedState, states
from paycordon.store.indicators import listed
from paycordon.store.outbox import follow
from paycordon.store.outbox import listed as notified
from paycordon.testing import FrozenClock

Step = Changes | Exception | Callable[[], object]


def item(number: int, **fields: Any) -> Indicator:
    return replace(Indicator("email", f"k1:{number:064x}", "ngo", f"case-{number}", 90, "allegation"), **fields)


def batch(*numbers: int, at: str | None = None, **fields: Any) -> Changes:
    return Changes("ngo", [item(n) for n in numbers], checkpoint=at, **fields)


class Scripted(Feed[FeedSettings]):
    """Does what a test says: a batch, an error, or something that happens in between."""

    format: ClassVar[str] = "scripted"
    about: ClassVar[str] = "for tests"
    settings_type: ClassVar[type[FeedSettings]] = FeedSettings
    steps: list[Step]
    asked: list[str | None]

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        self.asked.append(checkpoint)
        for step in self.steps:
            if isinstance(step, Changes):
                yield step
            elif isinstance(step, Exception):
                raise step
            else:
                step()


class Scene:
    """A store, a scripted feed and workers that look at it."""

    def __init__(self, store: Store, clock: FrozenClock, digester: Digester, place: Path) -> None:
        self.store, self.clock = store, clock
        settings = FeedSettings(format="scripted", source="x", every=timedelta(minutes=1), most_items=50)
        self.feed = Scripted(settings, Surroundings("ngo", digester, place, clock))
        self.feed.steps, self.feed.asked = [], []

    def worker(self, name: str = "w1", most_matches: int = 100) -> Pulling:
        return Pulling(self.store, self.feed, owner=name, most_matches=most_matches, clock=self.clock)

    def look(self, *steps: Step, **options: Any) -> Pulled:
        self.feed.steps = list(steps)
        done = self.worker(most_matches=options.pop("most_matches", 100)).look(early=True, **options)
        assert done is not None
        return done

    @property
    def counting(self) -> set[str]:
        with self.store.read() as connection:
            return {each.reference for each in listed(connection, limit=10_000)}

    @property
    def checkpoint(self) -> str | None:
        with self.store.read() as connection:
            return checkpoint_of(connection, "ngo")

    @property
    def state(self) -> FeedState:
        with self.store.read() as connection:
            (found,) = states(connection)
        return found


@pytest.fixture
def scene(store: Store, clock: FrozenClock, digester: Digester, tmp_path: Path) -> Scene:
    return Scene(store, clock, digester, tmp_path)


def test_batches_are_taken_in_one_after_the_other_with_their_checkpoints(scene: Scene) -> None:
    done = scene.look(batch(1, 2, at="a"), batch(3, at="b"))

    assert (done.batches, done.added, done.state) == (2, 3, None)
    assert (scene.counting, scene.checkpoint) == ({"case-1", "case-2", "case-3"}, "b")
    scene.look()
    assert scene.feed.asked == [None, "b"]
    assert (scene.state.counting, scene.state.failures, scene.state.why) == (3, 0, None)
    assert scene.state.good_at == scene.clock()


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (FeedRefused("is cut off"), "refused"),
        (RetryLater("cannot be reached"), "failed"),
        (ZeroDivisionError("x@shop.example"), "failed"),
        (Changes("somebody else", [item(9, source="somebody else")]), "refused"),
        (batch(*range(100, 151)), "refused"),
    ],
)
def test_what_fails_keeps_the_last_good_state_and_says_why(scene: Scene, trouble: Step, state: str) -> None:
    scene.look(batch(1, at="a"))
    scene.clock.advance(timedelta(hours=1))
    done = scene.look(batch(2, at="b"), trouble, batch(3, at="c"))

    assert (done.state, scene.state.state) == (state, state)
    assert (scene.counting, scene.checkpoint) == ({"case-1", "case-2"}, "b")
    assert scene.state.why
    assert "shop.example" not in scene.state.why
    assert scene.state.good_at == scene.clock() - timedelta(hours=1)


def test_a_feed_is_looked_at_when_it_is_due_and_less_often_while_it_fails(scene: Scene) -> None:
    scene.feed.steps = [batch(1)]
    worker = scene.worker()
    assert worker.run_once() is True
    assert worker.run_once() is False
    scene.feed.steps = [RetryLater("away")]
    pauses = []
    for _ in range(8):
        begun = scene.clock()
        while scene.clock() - begun < timedelta(hours=3):
            scene.clock.advance(timedelta(minutes=1))
            asked = len(scene.feed.asked)
            worker.run_once()
            if len(scene.feed.asked) > asked:
                break
        pauses.append((scene.clock() - begun) // timedelta(minutes=1))
    assert pauses == [1, 1, 2, 4, 8, 16, 32, 60]
    scene.feed.steps = [RetryLater("away", after=timedelta(hours=5))]
    scene.look(RetryLater("away", after=timedelta(hours=5)))
    assert scene.state.due_at == scene.clock() + timedelta(hours=5)


def test_one_worker_at_a_time_reads_a_feed(scene: Scene) -> None:
    others: list[object] = []
    scene.look(lambda: others.append(scene.worker("w2").look(early=True)), batch(1))

    assert others == [None]
    assert scene.counting == {"case-1"}


def test_a_worker_that_slept_too_long_takes_nothing_older_in(scene: Scene) -> None:
    def meanwhile() -> None:
        scene.clock.advance(timedelta(hours=1))
        steps, scene.feed.steps = scene.feed.steps, [batch(2, at="newer")]
        scene.worker("w2").look(early=True)
        scene.feed.steps = steps

    done = scene.look(meanwhile, batch(1, at="older"))

    assert done.state == "failed"
    assert (scene.counting, scene.checkpoint) == ({"case-2"}, "newer")
    assert scene.state.state is None  # the other's look was good


@pytest.mark.parametrize("dies_after", [0, 1, 2])
def test_after_a_crash_at_any_step_another_worker_goes_on(scene: Scene, dies_after: int) -> None:
    class Killed(BaseException):
        pass

    def killed() -> None:
        raise Killed

    pages: list[Step] = [batch(1, at="1"), batch(2, at="2")]
    scene.feed.steps = [*pages[:dies_after], killed]
    with pytest.raises(Killed):
        scene.worker("w1").look()
    scene.feed.steps = pages[dies_after:]
    assert scene.worker("w2").look(early=True) is None  # the lease of the dead one
    scene.clock.advance(timedelta(hours=1))
    done = scene.worker("w2").look()

    assert done is not None
    assert scene.feed.asked == [None, str(dies_after) if dies_after else None]
    assert scene.counting == {"case-1", "case-2"}


def test_a_batch_that_takes_most_back_is_refused_until_a_person_agrees(scene: Scene) -> None:
    scene.look(batch(*range(40), complete=True))
    done = scene.look(batch(*range(19), complete=True))
    assert (done.state, len(scene.counting)) == ("refused", 40)
    assert "--accept-withdrawals" in (done.why or "")
    gone = [Withdrawn(item(n).digest, f"case-{n}") for n in range(30)]
    assert scene.look(Changes("ngo", [], gone)).state == "refused"

    assert scene.look(batch(*range(19), complete=True), accept_withdrawals=True).withdrawn == 21
    assert len(scene.counting) == 19


def test_a_batch_that_matches_too_many_waits_for_a_person(scene: Scene) -> None:
    with scene.store.write() as connection:
        statement = (
            "INSERT INTO sightings (digest, merchant, kind, first_seen, last_seen) VALUES (:d, :m, 'email', 1, 1)"
        )
        for merchant in ("m_1", "m_2"):
            connection.execute(text(statement), {"d": item(1).digest, "m": merchant})
    assert scene.look(batch(1), most_matches=1).state == "waiting"
    assert scene.state.due_at == scene.clock() + timedelta(minutes=1)
    with scene.store.write() as connection:
        (found,) = waiting(connection)
        approve(connection, found.digest, "ada", "looked at both", scene.clock())

    done = scene.look(batch(1), most_matches=1)
    assert (done.state, done.matches) == (None, 2)


def test_a_store_that_is_away_is_no_fault_of_the_feed(scene: Scene) -> None:
    with pytest.raises(StoreUnavailable):
        scene.look(StoreUnavailable("gone"))
    assert json.dumps(scene.state.state) == "null"


def said(scene: Scene) -> list[tuple[str, str]]:
    with scene.store.read() as connection:
        rows = connection.execute(text("SELECT kind, payload FROM log WHERE kind LIKE 'feed.%' ORDER BY seq")).all()
    return [(kind, str(json.loads(payload).get("state", ""))) for kind, payload in rows]


def test_that_a_feed_does_not_do_well_is_said_once_and_once_that_it_does_again(scene: Scene) -> None:
    scene.look(batch(1))
    for _ in range(6):
        scene.look(RetryLater("away"))
    assert said(scene) == [("feed.troubled", "failed")]
    scene.look(FeedRefused("is cut off"))
    scene.look(batch(2))
    scene.look(batch(2))
    assert said(scene) == [("feed.troubled", "failed"), ("feed.recovered", "")]
    scene.look(FeedRefused("is cut off"))  # read while it was written
    scene.look(batch(2))
    assert len(said(scene)) == 2
    for _ in range(3):
        scene.look(FeedRefused("is cut off"))
    assert said(scene)[2:] == [("feed.troubled", "refused")]


def test_that_a_feed_waits_for_a_person_is_said_at_once_even_if_it_was_in_trouble(scene: Scene) -> None:
    for _ in range(3):
        scene.look(FeedRefused("is cut off"))
    scene.look(ApprovalRequired("would match 101 merchants"))
    scene.look(ApprovalRequired("would match 101 merchants"))
    scene.look(RetryLater("away"))
    scene.look(ApprovalRequired("would match 101 merchants"))
    assert said(scene) == [("feed.troubled", "refused"), ("feed.troubled", "waiting")]


def test_whoever_wants_to_hear_of_feeds_does_and_learns_why_only_as_an_insider(scene: Scene) -> None:
    follow(scene.store, {})
    for _ in range(3):
        scene.look(FeedRefused("is cut off"))
    while follow(scene.store, {"ops": ("feed.*",), "others": ("hold.*",)}):
        pass
    with scene.store.read() as connection:
        (message,) = notified(connection, states=("waiting",))
    assert (message.endpoint, message.type, message.merchant) == ("ops", "feed.troubled", "")
    assert message.facts == {"state": "refused"}
    assert message.internal == {"feed": "ngo", "why": "is cut off", "failures": 2}


def test_looks_are_counted(scene: Scene) -> None:
    metrics = Metrics()
    scene.feed.steps = [batch(1)]
    worker = Pulling(scene.store, scene.feed, owner="w", clock=scene.clock, metrics=metrics)
    worker.look(early=True)
    scene.feed.steps = [FeedRefused("is cut off")]
    worker.look(early=True)
    sample = metrics.registry.get_sample_value
    for result in ("ok", "refused"):
        assert sample("paycordon_feed_looks_total", {"feed": "ngo", "result": result}) == 1
    good = sample("paycordon_feed_last_good_timestamp_seconds", {"feed": "ngo"})
    assert good == scene.clock().timestamp()


def test_a_file_that_changes_is_read_at_once_and_not_while_it_is_written(
    store: Store, clock: FrozenClock, digester: Digester, tmp_path: Path
) -> None:
    from paycordon.feeds.csvfile import CsvFeed

    def write(*numbers: int) -> None:
        (tmp_path / "list.csv").write_text("v\n" + "".join(f"x{n}@shop.example\n" for n in numbers))

    given = {"format": "csv", "source": "list.csv", "columns": {"value": "v"}, "always": {"kind": "email"}}
    settings = CsvFeed.settings_type.model_validate({**given, "every": "1h"})
    workers = [
        Pulling(store, CsvFeed(settings, Surroundings("ngo", digester, tmp_path, clock)), owner=name, clock=clock)  # type: ignore[arg-type]
        for name in ("w1", "w2")
    ]
    write(1)
    assert [worker.run_once() for worker in workers] == [True, False]
    assert [worker.run_once() for worker in workers] == [False, False]
    write(1, 2)
    assert [worker.run_once() for worker in workers] == [False, False]  # somebody may be at it
    assert [worker.run_once() for worker in workers] == [True, False]
    assert [worker.run_once() for worker in workers] == [False, False]

    (tmp_path / "list.csv").write_text("v\nx3")  # cut off: refused, and not tried again before it has changed
    for _ in range(4):
        assert not any(worker.run_once() for worker in workers)
    with store.read() as connection:
        (state,) = states(connection)
    assert (state.state, state.failures) == ("refused", 2)  # by each of them once
    write(1, 2, 3)
    assert [any(worker.run_once() for worker in workers) for _ in range(2)] == [False, True]
    (tmp_path / "list.csv").unlink()
    assert not any(worker.run_once() for worker in workers)
