"""Reconcile one account at a time: read, store the baseline, apply, read back.

Nothing is assumed. Every round begins by reading the gateway, so that a lost answer, a crash after the change or a
person's own change at the gateway all look the same: the state is what it is, and what is missing is applied. The
baseline is committed before the first write, and removed only after the gateway was read to have it back.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater
from paycordon.events import Subject, SubjectKind
from paycordon.gateways import Applied, Change, Gateway, GatewayState, Restriction, Settings
from paycordon.metrics import Metrics
from paycordon.record.log import append, digest_of
from paycordon.store import Store, cases
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
from paycordon.store.schema import micros

_logger = logging.getLogger("paycordon")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take and how often they are tried.

    Attributes:
        lease: for how long a worker owns an account; longer than all its calls to the gateway together.
        recheck: after this time a settled account is read again, to see changes made by hand.
        first_retry, last_retry: the pause after a failure doubles from the first to the last.
        give_up_after: after this many failures in a row a person is asked; tries go on, at the longest pause.
        tries: how often one call is tried at once when the gateway says that nothing happened.
    """

    lease: timedelta = timedelta(minutes=5)
    recheck: timedelta = timedelta(minutes=15)
    first_retry: timedelta = timedelta(seconds=2)
    last_retry: timedelta = timedelta(hours=1)
    give_up_after: int = 8
    tries: int = 3
    try_pause: timedelta = timedelta(milliseconds=500)


class Reconciler:
    """A worker's part that speaks to one gateway instance.

    Args:
        owner: a name no other worker has; leases carry it.
        sleep: how to wait between tries, in seconds.
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
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._owner = owner
        self._clock = clock
        self._timing = timing or Timing()
        self._metrics = metrics or Metrics()
        pause = self._timing.try_pause.total_seconds()
        self._retrying = Retrying(
            stop=stop_after_attempt(self._timing.tries),
            wait=wait_exponential_jitter(multiplier=pause, max=10 * pause, jitter=pause),
            retry=retry_if_exception_type(RetryLater),
            sleep=sleep,
            reraise=True,
        )

    def run_once(self) -> bool:
        """Work on the account that waits longest, if one is due.

        Returns:
            Whether there was one.

        Raises:
            StoreUnavailable: the database cannot be used right now; what was claimed is free again after its lease.
        """
        now = self._clock()
        if not due(self._store, self._gateway.instance, now):
            return False
        claimed = claim(self._store, self._gateway.instance, self._owner, now, self._timing.lease)
        for row in claimed:
            self._settle(row)
        return bool(claimed)

    def _settle(self, row: RestrictionRow) -> None:
        try:
            row, state = self._prepared(row)
        except LeaseLost:
            _logger.warning("another worker took over an account at `%s`", row.instance)
        except Exception as error:
            self._fail(row, _as_action_error(error), touched=False)
        else:
            self._carry_out(row, state)

    def _prepared(self, row: RestrictionRow) -> tuple[RestrictionRow, GatewayState]:
        """Read the gateway, then the holds, and store what must be known before the gateway is touched."""
        state = self._retrying(self._gateway.read, _subject(row))
        with self._store.write() as connection:
            row = refreshed(connection, row, self._owner, self._clock(), self._timing.lease)
            row = self._with_baseline(connection, row, state)
            return self._with_drift_noted(connection, row, state), state

    def _carry_out(self, row: RestrictionRow, state: GatewayState) -> None:
        try:
            if row.baseline is None:
                nothing = {"applied": Restriction.NONE.value, "settings": None, "failures": 0}
                self._finish(row, state, "settled", nothing)
            elif row.desired is Restriction.NONE:
                self._released(row, self._apply(row, state, row.baseline).state, row.baseline)
            else:
                self._restricted(row, self._apply(row, state, row.baseline))
        except LeaseLost:
            self._overtaken(row)
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

    def _with_drift_noted(self, connection: Connection, row: RestrictionRow, state: GatewayState) -> RestrictionRow:
        if row.state == "settled" and row.settings is not None and state.settings != row.settings:
            # The change was made once already: under the same key the gateway would only repeat its answer.
            update(connection, row, self._owner, self._clock(), {"attempt": row.attempt + 1})
            found = as_text(state.settings)
            self._log(connection, "restriction.drift", row, settings_digest=digest_of(found))
            cases.note(connection, row.merchant, self._clock(), "drift", f"changed at {row.instance} by someone else")
            return replace(row, attempt=row.attempt + 1)
        return row

    def _apply(self, row: RestrictionRow, state: GatewayState, baseline: Settings) -> Applied:
        if row.desired is Restriction.NONE and state.settings == baseline:
            return Applied(state)
        change = Change(to=row.desired, baseline=baseline)
        return self._retrying(self._gateway.apply, _subject(row), change, _key(row))

    def _restricted(self, row: RestrictionRow, applied: Applied) -> None:
        if applied.state.restriction.rank < row.desired.rank:
            raise Refused(f"the gateway says `{applied.state.restriction}` after it was asked for `{row.desired}`")
        values = {
            "applied": row.desired.value,
            "settings": as_text(applied.state.settings),
            "expires_at": micros(applied.expires_at) if applied.expires_at else None,
            "failures": 0,
            "last_error": None,
        }
        self._finish(row, applied.state, "settled", values)

    def _released(self, row: RestrictionRow, state: GatewayState, baseline: Settings) -> None:
        if state.settings != baseline:
            raise OutcomeUnknown("the gateway does not show the baseline after it was written back", answered=True)
        values = {
            "applied": Restriction.NONE.value,
            "settings": None,
            "baseline": baseline_after_release(row),
            "expires_at": None,
            "failures": 0,
            "last_error": None,
        }
        self._finish(row, state, "settled", values)

    def _finish(self, row: RestrictionRow, state: GatewayState, label: str, values: dict[str, Any]) -> None:
        now = self._clock()
        ended = values["applied"] == Restriction.NONE.value
        # An account that is not restricted is not ours to watch: nothing is due until the next hold.
        next_look = now + (timedelta(days=36_500) if ended else self._timing.recheck)
        with self._store.write() as connection:
            update(connection, row, self._owner, now, {**values, **finished(row, label, next_look)})
            changed = row.applied.value != values["applied"] or row.state != "settled"
            if changed and (row.baseline is not None or not ended):
                digest = digest_of(as_text(state.settings))
                self._log(connection, "restriction.applied", row, restriction=values["applied"], settings_digest=digest)
        self._metrics.reconciled(row.instance, values["applied"])

    def _fail(self, row: RestrictionRow, error: ActionError, *, touched: bool) -> None:
        """Record that the gateway does not agree yet; nothing is ever taken as done on hope."""
        now = self._clock()
        failures = row.failures + 1
        stuck = isinstance(error, Refused) or failures >= self._timing.give_up_after
        label = "stuck" if stuck else "unknown" if isinstance(error, OutcomeUnknown) else "pending"
        values: dict[str, Any] = {"failures": failures, "last_error": f"{type(error).__name__}: {error}"[:1_000]}
        if isinstance(error, Refused) or (isinstance(error, OutcomeUnknown) and error.answered):
            values["attempt"] = row.attempt + 1
        pause = self._timing.last_retry if stuck else self._pause(failures, error)
        try:
            with self._store.write() as connection:
                update(connection, row, self._owner, now, {**values, **finished(row, label, now + pause)})
                if stuck and row.state != "stuck":
                    self._log(connection, "restriction.stuck", row, error=type(error).__name__)
                    note = f"{row.instance}: {type(error).__name__}"
                    cases.put_before_person(connection, row.merchant, now, "stuck", note)
        except LeaseLost:
            if touched:
                self._overtaken(row)
        self._metrics.reconciled(row.instance, label)
        _logger.warning("an account at `%s` is not reconciled yet: %s", row.instance, type(error).__name__)

    def _pause(self, failures: int, error: ActionError) -> timedelta:
        asked = error.after if isinstance(error, RetryLater) and error.after else timedelta(0)
        doubled: timedelta = self._timing.first_retry * 2 ** min(failures - 1, 20)
        return max(asked, min(doubled, self._timing.last_retry))

    def _log(self, connection: Connection, kind: str, row: RestrictionRow, **more: str) -> None:
        append(connection, self._clock(), kind, {"instance": row.instance, "account": row.account, **more})


def _as_action_error(error: Exception) -> ActionError:
    """An adapter must raise declared errors only; if it does not, nothing is known."""
    return error if isinstance(error, ActionError) else OutcomeUnknown(f"unexpected {type(error).__name__}")


def _subject(row: RestrictionRow) -> Subject:
    return Subject(instance=row.instance, kind=SubjectKind.ACCOUNT, id=row.account, account=row.account)


def _key(row: RestrictionRow) -> str:
    """The idempotency key of one change: the same after silence, another after an answer that would be replayed."""
    parts = (row.instance, row.account, str(row.generation), str(row.attempt), row.desired.value)
    return f"paycordon-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:40]}"
