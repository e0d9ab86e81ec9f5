"""The conformance kit of feeds: one class to subclass; it says what must hold of every format.

The kit runs a feed against a real store, lets it die between any two steps, brings documents again, older, cut off,
altered and too large, and asks each time that the state is either the one before or the one that a whole, honest
document leads to.
"""

# ruff: noqa: S101 - these are tests, and their assertions are rewritten by pytest

from __future__ import annotations

import logging
import os
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.events import Identifier
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.pulling import Pulled, Pulling
from paycordon.store import Store
from paycordon.store.feeding import checkpoint_of
from paycordon.testing.clock import FrozenClock
from paycordon.testing.mutations import mutated

MUTATIONS = int(os.environ.get("PAYCORDON_FEED_MUTATIONS", "60"))
"""How many altered documents each feed is given; the environment variable raises it, to 10,000 for a release."""

_logger = logging.getLogger("paycordon.testing")
_DIGESTER = Digester({"k1": b"k" * 32}, "k1")
_State = frozenset[tuple[Any, ...]]


class Killed(BaseException):
    """Stands for the end of the process."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a source says at one time.

    Attributes:
        files: by name, as they lie in the source's place.
        counting: kind, plain value and reference of each indicator that counts once it was taken in.
    """

    files: Mapping[str, bytes]
    counting: frozenset[tuple[str, str, str]]


class FeedHarness(ABC):
    """What the kit needs to know of a format. `place` is a directory that the feed reads, directly or by a server."""

    kind: type[Feed[Any]]

    protected: bool = False
    """Whether the format is signed: whatever is not the publisher's very bytes is then refused or changes nothing."""

    answers: bool = False
    """Whether it is read from a server of the harness, which passes each answer through `altering`."""

    altering: Callable[[bytes], bytes] = staticmethod(lambda data: data)

    dated: bool = True
    """Whether the feed can tell an older document from a newer one."""

    ahead: tuple[bytes, bytes] | None = None
    """A date in the files of the second stage, and one as far ahead as the format can write; none without dates."""

    @abstractmethod
    def settings(self, place: Path) -> Mapping[str, Any]:
        """Return the settings of a feed that reads `place`, without `format`."""

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """Return what the source says at three times or more: each adds something, and one takes something back."""

    def close(self) -> None:  # noqa: B027  # most have nothing to stop
        """Stop whatever was started."""


class Dying:
    """A feed that dies once after so many steps: before and after each batch."""

    def __init__(self, feed: Feed[Any], after: int) -> None:
        self._feed, self._left = feed, after
        self.surroundings, self.settings = feed.surroundings, feed.settings

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield what the feed does, until it dies."""
        for batch in self._feed.fetch(checkpoint, budget):
            self._step()
            yield batch
            self._step()
        self._step()

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed


class Recording:
    """A feed that notes which of its batches were taken in: whoever takes one in comes back for the next."""

    def __init__(self, feed: Feed[Any]) -> None:
        self._feed = feed
        self.taken: list[Changes] = []
        self.surroundings, self.settings = feed.surroundings, feed.settings

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield what the feed does."""
        for batch in self._feed.fetch(checkpoint, budget):
            yield batch
            self.taken.append(batch)


class FeedConformance(ABC):
    """Subclass it in a test module and return your harness; pytest then runs everything below."""

    @abstractmethod
    def harness(self) -> FeedHarness:
        """Return a new harness."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Iterator[Subject]:
        """A feed with a store of its own."""
        store = Store.open(f"sqlite:///{tmp_path / 'feeds.db'}")
        harness = self.harness()
        try:
            yield Subject(harness, store, tmp_path / "source")
        finally:
            harness.close()
            store.close()

    def test_what_the_source_says_is_what_counts(self, subject: Subject) -> None:
        """What was taken in is what the source says, at each time."""
        for stage in subject.stages:
            done = subject.look(stage)
            assert done.state is None, done.why
            assert subject.counting == expected(stage)

    def test_said_again_changes_nothing(self, subject: Subject) -> None:
        """A document that comes again changes neither state nor checkpoint."""
        for stage in subject.stages:
            subject.look(stage)
            before = subject.state
            again = subject.look(stage)
            assert (again.state, again.added, again.corrected, again.withdrawn) == (None, 0, 0, 0)
            assert subject.state == before

    def test_a_crash_at_any_step_loses_nothing(self, subject: Subject) -> None:
        """Whoever goes on after a crash gets to the same state."""
        for stage in subject.stages:
            for step in range(30):
                died = subject.die(stage, step)
                assert subject.counting <= expected(stage) | subject.last_counting
                if not died:
                    break
            done = subject.look(stage)
            assert done.state is None, done.why
            assert subject.counting == expected(stage)

    def test_what_is_older_is_refused_and_the_last_good_state_stays(self, subject: Subject) -> None:
        """A replayed or back-dated document is refused."""
        if not subject.harness.dated:
            pytest.skip("the format has no dates; its page says so")
        first, *_, last = subject.stages
        subject.look(first)
        subject.look(last)
        before = subject.state
        done = subject.look(first)
        assert subject.state == before
        assert done.state == "refused"

    def test_a_date_ahead_of_today_is_refused_and_shuts_nothing_out(self, subject: Subject) -> None:
        """One wrong date, years ahead, would make all that comes later look old: silently, and for good."""
        if subject.harness.ahead is None:
            pytest.skip("the format has no dates; its page says so")
        first, second, *_ = subject.stages
        subject.look(first)
        before = subject.state
        date, far = subject.harness.ahead
        files = {name: data.replace(date, far) for name, data in second.files.items()}
        assert files != second.files, "`ahead` names a date that the second stage does not have"
        assert subject.look(Stage(files, frozenset())).state == "refused"
        assert subject.state == before
        assert subject.look(second).state is None
        assert subject.counting == expected(second)

    def test_what_is_cut_off_anywhere_is_refused_whole(self, subject: Subject) -> None:
        """Of a document that is cut off nothing is taken in."""
        first, second, *_ = subject.stages
        subject.look(first)
        for name, data in changed_files(first, second):
            lengths = {0, 1, len(data) // 3, len(data) // 2, len(data) - 2, len(data) - 1}
            for length in sorted(lengths):
                if not subject.harness.protected and data[:length].endswith(b"\n"):
                    continue  # between two lines nobody can tell; `most_withdrawn` stops the worst
                before = subject.state
                done = subject.look(Stage({**second.files, name: data[:length]}, frozenset()))
                assert done.state in ("refused", "failed"), f"`{name}` of {length} bytes instead of {len(data)}"
                assert subject.state == before
        assert subject.look(second).state is None
        assert subject.counting == expected(second)

    def test_what_is_too_large_is_refused_whole(self, subject: Subject) -> None:
        """Of a document that is too large nothing is taken in."""
        first, second, *_ = subject.stages
        subject.look(first)
        before = subject.state
        assert subject.look(second, most_bytes=10).state in ("refused", "failed")
        assert subject.look(second, most_items=1).state == "refused"
        assert subject.state == before

    def test_what_is_gone_is_tried_again_and_changes_nothing(self, subject: Subject) -> None:
        """A source that is away takes nothing back."""
        subject.look(subject.stages[0])
        before = subject.state
        assert subject.look(Stage({}, frozenset())).state in ("refused", "failed")
        assert subject.state == before

    def test_altered_documents_never_crash_it_nor_change_state_by_halves(self, subject: Subject) -> None:
        """Whatever is altered, batches count whole or not at all."""
        first, second, *_ = subject.stages
        randomness = random.Random(20260302)  # noqa: S311  # the same mutations each time
        subject.look(first)
        names = [name for name, _ in changed_files(first, second)]
        came_to: Counter[str] = Counter()
        for number in range(MUTATIONS):
            name = randomness.choice(names)
            altered = mutated(second.files[name], randomness)
            came_to[
                subject.try_altered(Stage({**second.files, name: altered}, frozenset()), f"{number} of `{name}`")
            ] += 1
        _logger.info("%s, altered documents: %s", subject.harness.kind.format, dict(came_to))

    def test_what_is_altered_on_its_way_never_crashes_it_nor_changes_state_by_halves(self, subject: Subject) -> None:
        """Whatever comes instead of a server's answers, batches count whole or not at all."""
        if not subject.harness.answers:
            pytest.skip("it is read from files")
        first, second, *_ = subject.stages
        randomness = random.Random(20260303)  # noqa: S311  # the same mutations each time
        subject.look(first)
        came_to: Counter[str] = Counter()
        for number in range(MUTATIONS):
            subject.harness.altering = lambda data: mutated(data, randomness)
            try:
                came_to[subject.try_altered(second, f"{number} of an answer")] += 1
            finally:
                subject.harness.altering = lambda data: data
        _logger.info("%s, altered answers: %s", subject.harness.kind.format, dict(came_to))


class Subject:
    """A feed, its source and its store."""

    def __init__(self, harness: FeedHarness, store: Store, place: Path) -> None:
        self.harness, self._store, self._place = harness, store, place
        self._clock = FrozenClock()
        self.last_counting: _State = frozenset()
        place.mkdir()
        self.stages = list(harness.stages())
        assert len(self.stages) >= 3, "a harness says at least three things, one after the other"

    def look(self, stage: Stage, **settings: Any) -> Pulled:
        """Look at what the source says now."""
        self.lay(stage.files)
        done = self._pulling(self._feed(**settings)).look(early=True, accept_withdrawals=True)
        assert done is not None
        self.last_counting = self.counting
        return done

    def die(self, stage: Stage, step: int) -> bool:
        """Look, and die at a step; tells whether there was such a step."""
        self.lay(stage.files)
        feed: Any = Dying(self._feed(), step)
        try:
            self._pulling(feed).look(early=True, accept_withdrawals=True)
        except Killed:
            self._clock.advance(timedelta(days=1))  # until its lease has ended
            return True
        return False

    def record(self, stage: Stage) -> tuple[Pulled, list[Changes]]:
        """Look, and return also which batches were taken in."""
        self.lay(stage.files)
        feed: Any = Recording(self._feed())
        done = self._pulling(feed).look(early=True, accept_withdrawals=True)
        assert done is not None
        return done, feed.taken

    def try_altered(self, stage: Stage, about: str) -> str:
        """Look at something altered, check that it counts whole or not at all, and return what became of it.

        The state is that of the first stage before, and again afterwards.
        """
        before = self.counting
        done, taken = self.record(stage)
        about = f"mutation {about}: {done.why}"
        assert done.state in (None, "refused") or "failed with" not in (done.why or ""), about
        assert self.counting == folded(before, taken), about
        if taken and self.harness.protected:
            assert self.counting == expected(stage if stage.counting else self.stages[1]), about
        if taken:
            self.forget()
            self.look(self.stages[0])
        return done.state or ("taken in" if taken else "nothing new")

    def forget(self) -> None:
        """Empty the store of what the source said."""
        with self._store.write() as connection:
            for table in ("indicators", "indicator_sources", "feeds"):
                connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608  # names above

    def lay(self, files: Mapping[str, bytes]) -> None:
        """Let exactly these files lie in the source's place."""
        for path in sorted(self._place.rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
        for name, data in files.items():
            path = self._place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    @property
    def counting(self) -> _State:
        """What counts now, without the checkpoint."""
        with self._store.read() as connection:
            return _counting(connection)

    @property
    def checkpoint(self) -> str | None:
        """How far the source was read."""
        with self._store.read() as connection:
            return checkpoint_of(connection, "source")

    @property
    def state(self) -> _State:
        """What counts now, and how far the source was read."""
        with self._store.read() as connection:
            return _counting(connection) | {("checkpoint", checkpoint_of(connection, "source"))}

    def _feed(self, **settings: Any) -> Feed[Any]:
        kind = self.harness.kind
        given = {"format": kind.format, **self.harness.settings(self._place), **settings}
        read: FeedSettings = kind.settings_type.model_validate(given)
        return kind(read, Surroundings("source", _DIGESTER, self._place, self._clock))

    def _pulling(self, feed: Feed[Any]) -> Pulling:
        return Pulling(self._store, feed, owner="kit", clock=self._clock)


def expected(stage: Stage) -> _State:
    """Return what counts once a stage was taken in."""
    return frozenset(
        (kind, digest, reference)
        for kind, value, reference in stage.counting
        for digest in _DIGESTER.of_indicator(Identifier(kind=kind, value=value))
    )


def folded(before: _State, taken: Sequence[Changes]) -> _State:
    """Return what counts once these batches were taken in, one after the other."""
    counting = {(digest, reference): kind for kind, digest, reference in before}
    for batch in taken:
        said = {(each.digest, each.reference): each.kind for each in batch.said}
        counting = {name: kind for name, kind in counting.items() if not batch.covers(name[1])} | said
        for gone in batch.withdrawn:
            counting.pop((gone.digest, gone.reference), None)
    return frozenset((kind, digest, reference) for (digest, reference), kind in counting.items())


def changed_files(before: Stage, after: Stage) -> list[tuple[str, bytes]]:
    """Return the files in which one stage differs from another."""
    return [(name, data) for name, data in after.files.items() if before.files.get(name) != data]


def _counting(connection: Connection) -> _State:
    statement = text("SELECT kind, digest, reference FROM indicators WHERE withdrawn_at IS NULL")
    return frozenset(tuple(row) for row in connection.execute(statement))
