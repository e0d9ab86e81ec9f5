"""Reconcile one account at a time: read, store the baseline, apply, read back.

Nothing is assumed. Every round begins by reading the gateway, so that a lost answer, a crash after the change or a
person's own change at the gateway all look the same: the state is what it is, and what is missing is applied. The
baseline is committed before the first write, and removed only after the gateway was read to have it back.

A worker acts only while its lease lasts: every change of the store is made under the condition that it does, and every
request that changes a gateway asks the fence first (`paycordon.gateways.check_fence`). What is left is a pause between
that question and the socket. Such a late write is found by reading back: the worker whose lease was lost meanwhile has
the account looked at again, and if it never comes to that, the next regular look sees the change.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from paycordon.enforcement import drift
from paycordon.enforcement.drift import Found
from paycordon.enforcement.pressure import Limits, Pressure
from paycordon.enforcement.timing import LeaseFence, Timing
from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater, StoreUnavailable
from paycordon.events import Subject, SubjectKind
from paycordon.gateways import Applied, Change, FenceClosed, Gateway, GatewayState, Restriction, Settings, fenced
from paycordon.metrics import Metrics
from paycordon.record.log import append, digest_of
from paycordon.sections import Drift
from paycordon.store import Store, cases, clocks
from paycordon.store.restrictions import (
    LeaseLost,
    RestrictionRow,
    as_text,
    baseline_after_release,
    claim,
    due,
    finished,
    refreshed,
    reopen,
    update,
)
from paycordon.store.schema import from_micros, micros

_logger = logging.getLogger("paycordon")
_PLACES_WAITED_FOR = 20
_NEVER = timedelta(days=36_500)
_RANDOM = random.SystemRandom()


class Reconciler:
    """A worker's part that speaks to one gateway instance.

    Args:
        owner: a name no other worker has; leases carry it.
        sleep: how to wait between tries, in seconds.
        limits: how much failure and work the instance gets.
        on_drift: what is done about changes that somebody makes at the gateway by hand.
        monotonic: a clock in seconds that nobody sets.
        jitter: returns a random number from 0 up to 1.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway[Any],
        *,
        owner: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        timing: Timing | None = None,
        limits: Limits | None = None,
        on_drift: Drift = Drift.REAPPLY,
        metrics: Metrics | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._owner = owner
        self._clock = clock
        self._sleep = sleep
        self._timing = timing or Timing()
        self._limits = limits or Limits()
        self._on_drift = on_drift
        self._metrics = metrics or Metrics()
        self._monotonic = monotonic
        self._jitter = jitter
        self._pressure = Pressure(store, gateway.instance, self._limits, jitter, self._metrics)
        self._retrying = Retrying(
            stop=stop_after_attempt(self._timing.tries),
            wait=self._try_pause,
            retry=retry_if_exception(_worth_another_try),
            sleep=sleep,
            reraise=True,
        )

    def run_once(self) -> bool:
        """Work on the account that waits longest, if one is due.

        Returns:
            Whether there was one. An instance that is left alone has none, and nothing is claimed there.

        Raises:
            StoreUnavailable: the database cannot be used right now; what was claimed is free again after its lease.
        """
        now = self._clock()
        with self._store.read() as connection:
            if not due(connection, self._gateway.instance, now) or self._pressure.rests(connection, now):
                return False
        if not self._admitted():
            return False
        claimed = claim(self._store, self._gateway.instance, self._owner, self._clock(), self._timing.lease)
        for row in claimed:
            self._settle(row)
        return bool(claimed)

    def _admitted(self) -> bool:
        """Wait a little for a place under the rate limit; a probe that another worker makes is not waited for."""
        rate = self._limits.accounts_per_s
        for _ in range(_PLACES_WAITED_FOR):
            if self._pressure.admitted(self._clock()):
                return True
            if rate is None or self._pressure.probing:
                return False
            self._sleep(min(1.0, 1 / rate))
        return False

    def _settle(self, row: RestrictionRow) -> None:
        try:
            row, state, found, fence = self._prepared(row)
        except LeaseLost:
            _logger.warning("another worker took over an account at `%s`", row.instance)
        except StoreUnavailable:
            raise
        except Exception as error:
            self._fail(row, _as_action_error(error), touched=False)
        else:
            if found in (Found.TOLD, Found.WAITS, Found.BACK):
                self._leave(row, state, found)
            else:
                with fenced(fence):
                    self._carry_out(row, state)

    def _prepared(self, row: RestrictionRow) -> tuple[RestrictionRow, GatewayState, Found, LeaseFence]:
        """Read the gateway, then the holds, and store what must be known before the gateway is touched."""
        state = self._retrying(self._gateway.read, _subject(row))
        fence = LeaseFence(self._timing, self._clock, self._monotonic)
        with self._store.write() as connection:
            row = refreshed(connection, row, self._owner, fence.began_at, self._timing.lease)
            row = self._with_baseline(connection, row, state)
            found = drift.found(row, state, self._on_drift)
            return self._with_drift_noted(connection, row, state, found), state, found, fence

    def _leave(self, row: RestrictionRow, state: GatewayState, found: Found) -> None:
        """Leave an account as somebody set it, and keep an eye on it until a person has decided."""
        label = {Found.TOLD: "drifted", Found.BACK: "settled"}.get(found, row.state)
        values = {
            "applied": state.restriction.value,
            "drift": as_text(state.settings) if label == "drifted" else None,
            "failures": 0,
            "last_error": None,
        }
        try:
            self._finish(row, state, label, values, watched=True)
        except LeaseLost:
            _logger.warning("another worker took over an account at `%s`", row.instance)

    def _carry_out(self, row: RestrictionRow, state: GatewayState) -> None:
        try:
            if row.baseline is None:
                nothing = {"applied": Restriction.NONE.value, "settings": None, "failures": 0, "last_error": None}
                self._finish(row, state, "settled", nothing)
            elif row.desired is Restriction.NONE:
                self._released(row, self._apply(row, state, row.baseline).state, row.baseline)
            else:
                self._restricted(row, state, self._apply(row, state, row.baseline))
        except LeaseLost:
            self._overtaken(row)
        except StoreUnavailable:
            raise
        except Exception as error:
            self._fail(row, _as_action_error(error), touched=True)

    def _overtaken(self, row: RestrictionRow) -> None:
        """Have the account looked at again: what was sent may have taken effect after the other worker had finished."""
        _logger.warning("another worker took over an account at `%s` while it was being changed", row.instance)
        with self._store.write() as connection:
            reopen(connection, row, self._clock())

    def _with_baseline(self, connection: Connection, row: RestrictionRow, state: GatewayState) -> RestrictionRow:
        """Store the baseline if this is the first restriction; there stays none when there is nothing to do."""
        if row.baseline is not None or row.desired is Restriction.NONE:
            return row
        text = as_text(state.settings)
        update(connection, row, self._owner, self._clock(), {"baseline": text})
        self._log(connection, "restriction.baseline", row, settings_digest=digest_of(text))
        return replace(row, baseline=state.settings)

    def _with_drift_noted(
        self, connection: Connection, row: RestrictionRow, state: GatewayState, found: Found
    ) -> RestrictionRow:
        now = self._clock()
        if found is Found.CHANGED:
            # The change was made once already: under the same key the gateway would only repeat its answer.
            update(connection, row, self._owner, now, {"attempt": row.attempt + 1})
        if found is Found.CHANGED or found is Found.TOLD:
            drift.note(connection, row, state, self._on_drift, now)
        return replace(row, attempt=row.attempt + 1) if found is Found.CHANGED else row

    def _apply(self, row: RestrictionRow, state: GatewayState, baseline: Settings) -> Applied:
        if row.desired is Restriction.NONE and state.settings == baseline:
            return Applied(state)
        change = Change(to=row.desired, baseline=baseline)
        return self._retrying(self._gateway.apply, _subject(row), change, _key(row))

    def _restricted(self, row: RestrictionRow, before: GatewayState, applied: Applied) -> None:
        if applied.state.restriction.rank < row.desired.rank:
            raise Refused(f"the gateway says `{applied.state.restriction}` after it was asked for `{row.desired}`")
        ends_at = self._ends_at(row, before, applied)
        values = {
            "applied": row.desired.value,
            "settings": as_text(applied.state.settings),
            "drift": None,
            "expires_at": micros(ends_at) if ends_at else None,
            "failures": 0,
            "last_error": None,
        }
        # An account that was stricter before the first hold stays so, and nobody needs to hear of that.
        too_much = applied.state.restriction.rank > row.desired.rank and before.settings != row.baseline
        self._finish(row, applied.state, "settled", values, stricter=too_much)

    def _ends_at(self, row: RestrictionRow, before: GatewayState, applied: Applied) -> datetime | None:
        """Say when the gateway ends the restriction: it began once, and each look at it does not begin it again."""
        known, said = row.expires_at, applied.expires_at
        if known is None or said is None:
            return said
        anew = known <= self._clock() and before.settings != applied.state.settings
        return said if anew else min(known, said)

    def _released(self, row: RestrictionRow, state: GatewayState, baseline: Settings) -> None:
        if state.settings != baseline:
            raise OutcomeUnknown("the gateway does not show the baseline after it was written back", answered=True)
        values = {
            "applied": Restriction.NONE.value,
            "settings": None,
            "drift": None,
            "baseline": baseline_after_release(row),
            "expires_at": None,
            "failures": 0,
            "last_error": None,
        }
        self._finish(row, state, "settled", values)

    def _finish(
        self,
        row: RestrictionRow,
        state: GatewayState,
        label: str,
        values: dict[str, Any],
        *,
        watched: bool = False,
        stricter: bool = False,
    ) -> None:
        now = self._clock()
        ended = values["applied"] == Restriction.NONE.value and not watched
        # An account that is not restricted is not ours to watch: nothing is due until the next hold.
        next_look = now + (_NEVER if ended else self._timing.recheck)
        with self._store.write() as connection:
            update(connection, row, self._owner, now, {**values, **finished(row, label, next_look)})
            if not watched:  # an account that is left as somebody set it is restricted until when it was before
                ends_at = from_micros(values["expires_at"]) if values.get("expires_at") else None
                clocks.keep_gateway(connection, row.instance, row.account, row.merchant, ends_at, now)
            changed = row.applied.value != values["applied"] or row.state not in drift.WATCHED
            if changed and stricter:
                drift.note_stricter(connection, row, state, now)
            if changed and not watched and (row.baseline is not None or not ended):
                digest = digest_of(as_text(state.settings))
                self._log(connection, "restriction.applied", row, restriction=values["applied"], settings_digest=digest)
        self._metrics.reconciled(row.instance, label if watched else values["applied"])
        self._pressure.succeeded(now)

    def _fail(self, row: RestrictionRow, error: ActionError, *, touched: bool) -> None:
        """Record that the gateway does not agree yet; nothing is ever taken as done on hope."""
        now = self._clock()
        # A closed fence says something about this worker, and nothing about the account or its gateway.
        own = isinstance(error, FenceClosed)
        failures = row.failures if own else row.failures + 1
        stuck = isinstance(error, Refused) or failures >= self._timing.give_up_after
        label = "stuck" if stuck else "unknown" if isinstance(error, OutcomeUnknown) else "pending"
        values: dict[str, Any] = {"failures": failures, "last_error": f"{type(error).__name__}: {error}"[:1_000]}
        if isinstance(error, Refused) or (isinstance(error, OutcomeUnknown) and error.answered):
            values["attempt"] = row.attempt + 1
        asked = error.after if isinstance(error, RetryLater) else None
        pause = self._timing.last_retry if stuck else self._timing.pause(max(1, failures), asked, self._jitter())
        try:
            with self._store.write() as connection:
                update(connection, row, self._owner, now, {**values, **finished(row, label, now + pause)})
                if stuck and row.state != "stuck":
                    note = f"{row.instance}: {type(error).__name__}"
                    cases.put_before_person(connection, row.merchant, now, "stuck", note)
                    self._log(connection, "restriction.stuck", row, error=type(error).__name__)
        except LeaseLost:
            if touched:
                self._overtaken(row)
        self._metrics.reconciled(row.instance, label)
        _logger.warning("an account at `%s` is not reconciled yet: %s", row.instance, type(error).__name__)
        if isinstance(error, Refused):
            self._pressure.succeeded(now)
        elif not own:
            self._pressure.failed(row.account, now, asked)

    def _try_pause(self, state: RetryCallState) -> float:
        pause = self._timing.try_pause.total_seconds()
        doubled: float = min(pause * 2 ** (state.attempt_number - 1), 10 * pause)
        return doubled + pause * self._jitter()

    def _log(self, connection: Connection, kind: str, row: RestrictionRow, **more: str) -> None:
        append(connection, self._clock(), kind, {"instance": row.instance, "account": row.account, **more})


def _worth_another_try(error: BaseException) -> bool:
    """Nothing happened, and neither the gateway asks for a pause nor is this worker's time up."""
    return isinstance(error, RetryLater) and error.after is None and not isinstance(error, FenceClosed)


def _as_action_error(error: Exception) -> ActionError:
    """An adapter must raise declared errors only; if it does not, nothing is known."""
    return error if isinstance(error, ActionError) else OutcomeUnknown(f"unexpected {type(error).__name__}")


def _subject(row: RestrictionRow) -> Subject:
    return Subject(instance=row.instance, kind=SubjectKind.ACCOUNT, id=row.account, account=row.account)


def _key(row: RestrictionRow) -> str:
    """The idempotency key of one change: the same after silence, another after an answer that would be replayed."""
    parts = (row.instance, row.account, str(row.generation), str(row.attempt), row.desired.value)
    return f"paycordon-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:40]}"
