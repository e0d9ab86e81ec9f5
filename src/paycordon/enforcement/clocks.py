"""Start the clocks of what was held and opened, and say ahead of time, and when it is too late, what they show.

What a decision writes needs no configuration: holds and cases are born without clocks, and this duty gives them theirs
within a second, in one transaction with the mark that they have them. Nothing is ever released because time has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from paycordon.legalclocks import StartsWith
from paycordon.metrics import Metrics
from paycordon.record.log import append
from paycordon.sections import Clocks
from paycordon.spans import Span, deadline
from paycordon.store import Store, cases, clocks, restrictions, unclocked
from paycordon.store.clocks import Clock, ClockState, NewClock
from paycordon.store.holds import Hold
from paycordon.store.unclocked import OpenCase
from paycordon.store.wanted import want_reconciled

_AT_ONCE = 20
_LATE = timedelta(hours=1)
_SLA = "sla"
_URGENT = 0
_PRESSING = 1


@dataclass(frozen=True, slots=True)
class Timetable:
    """Which clocks a hold or a case has, as the configuration says."""

    settings: Clocks

    def of_hold(self, hold: Hold, review_after: timedelta | None) -> Iterator[NewClock]:
        """Say which clocks a hold has; `review_after` is what the policy says of it."""
        begins = hold.created_at
        said = f"policy: {hold.rule}" if review_after else "clocks.hold_review"
        review = Span(review_after) if review_after else self.settings.hold_review
        yield self._clock(hold, "review", said, begins, review)
        yield self._clock(hold, "maximum", "clocks.hold_maximum", begins, self.settings.hold_maximum)
        for id_, legal in self.settings.legal_clocks():
            if legal.on is StartsWith.HOLD or (legal.on is StartsWith.BLOCK and hold.outcome == "block"):
                due_at = deadline(begins, legal.after, legal.calendar, legal.zone)
                yield self._until("hold", hold.id, hold.merchant, id_, legal.source, begins, due_at)

    def of_case(self, case: OpenCase, begins: datetime) -> Iterator[NewClock]:
        """Say which clocks a case has that was opened, or opened again, when it `begins`."""
        due_at = deadline(begins, self.settings.sla_of(case.priority))
        source = f"clocks.sla of priority {case.priority}"
        yield self._until("case", case.id, case.merchant, _SLA, source, begins, due_at)
        for id_, legal in self.settings.legal_clocks():
            if legal.on is StartsWith.CASE:
                due_at = deadline(begins, legal.after, legal.calendar, legal.zone)
                yield self._until("case", case.id, case.merchant, id_, legal.source, begins, due_at)

    def _clock(self, hold: Hold, kind: str, source: str, begins: datetime, span: Span) -> NewClock:
        return self._until("hold", hold.id, hold.merchant, kind, source, begins, deadline(begins, span))

    def _until(
        self, subject: str, id_: str, merchant: str, kind: str, source: str, begins: datetime, due_at: datetime
    ) -> NewClock:
        ahead = (due_at - begins) * self.settings.warn_percent / 100
        return NewClock(subject, id_, merchant, kind, source, due_at, due_at - ahead)


class Clockwork:
    """A worker's duty: gives clocks to what has none yet, and attends to those whose time has come."""

    def __init__(
        self, store: Store, settings: Clocks, clock: Callable[[], datetime], metrics: Metrics | None = None
    ) -> None:
        self._store = store
        self._timetable = Timetable(settings)
        self._clock = clock
        self._remind = settings.remind.length
        self._metrics = metrics or Metrics()

    def run_once(self) -> bool:
        """Start what is missing and attend to a few clocks; returns whether there was anything to do.

        Raises:
            StoreUnavailable: the database cannot be used right now; nothing was done.
        """
        now = self._clock()
        with self._store.read() as connection:
            without, waiting = unclocked.waits(connection), clocks.waiting(connection, now, _AT_ONCE)
        if without:
            with self._store.write() as connection:
                self._begin(connection, now)
        attended = [self._attend(clock, now) for clock in waiting]
        return without or any(attended)

    def _begin(self, connection: Connection, now: datetime) -> None:
        for hold, review_after in unclocked.take_holds(connection, _AT_ONCE):
            if hold.active:
                for clock in self._timetable.of_hold(hold, review_after):
                    clocks.start(connection, clock, now)
        for case in unclocked.take_cases(connection, _AT_ONCE):
            self._begin_case(connection, case, now)

    def _begin_case(self, connection: Connection, case: OpenCase, now: datetime) -> None:
        """Start a case's clocks; one that became more urgent has less time, and one opened again has it anew."""
        if not case.open:
            return
        had = clocks.listed(connection, subject_id=case.id, stopped=True)
        running = {clock.kind: clock for clock in had if clock.state is not ClockState.STOPPED}
        begins = now if had and not running else case.opened_at
        for clock in self._timetable.of_case(case, begins):
            known = running.get(clock.kind)
            sooner = clock.kind == _SLA and known is not None and clock.due_at < known.due_at
            if known is None or (sooner and known.state is not ClockState.DUE):
                clocks.start(connection, clock, now)

    def _attend(self, candidate: Clock, now: datetime) -> bool:
        """Do what a clock asks for, in one transaction of its own; tells whether it still asked for anything.

        What others write to as well is locked first, in their order, and the clock last without waiting: nobody ever
        waits in a circle, so that no screening fails because of a clock.
        """
        with self._store.write() as connection:
            if candidate.kind == clocks.GATEWAY:
                restrictions.lock(connection, candidate.merchant)
            cases.lock(connection, candidate.merchant)
            clock = clocks.take(connection, candidate.id, now)
            if clock is not None and unclocked.is_over(connection, clock.subject_kind, clock.subject_id):
                clocks.stop(connection, clock.subject_id, now)
            elif clock is not None:
                self._tell(connection, clock, now)
            return clock is not None

    def _tell(self, connection: Connection, clock: Clock, now: datetime) -> None:
        """Warn, or say that the deadline has passed: the first time by an escalation, later by a reminder."""
        if now < clock.due_at:
            clocks.advance(connection, clock, ClockState.WARNED, clock.due_at)
            self._say(connection, clock, now, "clock.warned", f"ends at {clock.due_at:%Y-%m-%d %H:%M}Z")
            return
        clocks.advance(connection, clock, ClockState.DUE, now + self._remind)
        late = now - clock.due_at
        words = f"ended at {clock.due_at:%Y-%m-%d %H:%M}Z{f', noticed {_long(late)} later' if late > _LATE else ''}"
        if clock.state is ClockState.DUE:
            self._say(connection, clock, now, "clock.reminded", words)
            return
        if clock.kind == clocks.GATEWAY:
            instance, _, account = clock.subject_id.partition("/")
            # The gateway may have let go by itself, so it is read at once.
            want_reconciled(connection, clock.merchant, instance, account, now)
        self._say(connection, clock, now, "clock.due", words)

    def _say(self, connection: Connection, clock: Clock, now: datetime, kind: str, words: str) -> None:
        note = f"{clock.kind} of {clock.subject_kind} {clock.subject_id} {words} ({clock.source})"
        cases.put_before_person(connection, clock.merchant, now, kind, note)
        if kind == "clock.due":
            cases.escalate(connection, clock.merchant, _URGENT if clock.kind == clocks.GATEWAY else _PRESSING)
            for case in unclocked.take_cases(connection, _AT_ONCE, merchant=clock.merchant):
                self._begin_case(connection, case, now)
        due_at = clock.due_at.isoformat()
        append(connection, now, kind, {"clock": clock.kind, clock.subject_kind: clock.subject_id, "due_at": due_at})
        self._metrics.clock(clock.kind, kind)


def _long(span: timedelta) -> str:
    return f"{span.days} d" if span.days else f"{span.seconds // 3600} h"
