"""Do what people asked for at one gateway instance, once each, whatever fails on the way."""

from __future__ import annotations

import logging
import secrets
import time
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from paycordon.enforcement.timing import Clock, LeaseFence, Monotonic, Timing
from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater, type_and_place
from paycordon.events import Subject, SubjectKind
from paycordon.gateways import Gateway, Performed, fenced
from paycordon.store import Store, acts, cases
from paycordon.store.acts import StoredAct

_logger = logging.getLogger("paycordon")


class ActWorker:
    """Takes one act after another. Any number of workers may run on one store.

    An answer that never came leaves an act waiting: it is asked for again under the same key, and the adapter reads
    before it does anything. What the gateway refuses, and what keeps failing, is put before a person.

    Args:
        store: where the acts are.
        gateway: the adapter of the instance.
        owner: a name no other worker has; leases carry it.
        clock: says what time it is, UTC.
        timing: how long things may take.
        monotonic: a clock that nobody can set, in seconds.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway[Any],
        *,
        owner: str,
        clock: Clock,
        timing: Timing | None = None,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._owner = owner
        self._clock = clock
        self._timing = timing or Timing()
        self._monotonic = monotonic

    def run_once(self) -> int:
        """Do one act that is due; returns how many there were.

        Raises:
            StoreUnavailable: the database cannot be used; the act is tried again once the lease has run out.
        """
        fence = LeaseFence(self._timing, self._clock, self._monotonic)
        act = acts.claim(self._store, self._gateway.instance, self._owner, fence.began_at, self._timing.lease)
        if act is None:
            return 0
        try:
            with fenced(fence):
                performed = self._perform(act)
        except ActionError as error:
            self._failed(act, error)
        except Exception as error:  # an adapter must raise declared errors only; if it does not, nothing is known
            self._failed(act, OutcomeUnknown(f"unexpected {type_and_place(error)}"))
        else:
            self._done(act, performed)
        return 1

    def _perform(self, act: StoredAct) -> Performed:
        known = self._gateway.acts.get(act.act)
        if known is None:
            raise Refused(f"the adapter has no act `{act.act}` any more")
        try:
            parameters = known.parameters.model_validate(dict(act.parameters))
        except ValidationError:
            raise Refused(f"the adapter takes other parameters for `{act.act}` now") from None
        subject = Subject(instance=act.instance, kind=SubjectKind.ACCOUNT, id=act.account, account=act.account)
        return self._gateway.perform(subject, act.act, parameters, f"paycordon-{act.id}")

    def _done(self, act: StoredAct, performed: Performed) -> None:
        now = self._clock()
        with self._store.write() as connection:
            if not acts.done(connection, act, self._owner, performed, now):
                return  # another worker has it, reads, and finds it done
            found = "was so already" if performed.already else "is done"
            note = f"{act.id}: {act.act} {found}: {performed.reference} is {performed.state}"
            cases.note(connection, act.merchant, now, "act", note)

    def _failed(self, act: StoredAct, error: ActionError) -> None:
        now = self._clock()
        stuck = isinstance(error, Refused) or act.failures + 1 >= self._timing.give_up_after
        asked = error.after if isinstance(error, RetryLater) else None
        pause: timedelta = self._timing.pause(act.failures + 1, asked, secrets.randbelow(100) / 100)
        said = f"{type(error).__name__}: {error}"
        with self._store.write() as connection:
            if not acts.failed(connection, act, self._owner, said, now + pause, now, stuck=stuck):
                return
            if stuck:
                note = f"{act.id}: {act.act} of {act.account} at {act.instance} is not done: {said}"
                cases.put_before_person(connection, act.merchant, now, "stuck", note)
        _logger.warning("an act at `%s` is not done: %s", act.instance, type(error).__name__)
