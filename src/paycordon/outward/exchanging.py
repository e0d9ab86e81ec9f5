"""Tell one recipient what two people agreed to, once each, whatever fails on the way."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from paycordon.enforcement.timing import Timing
from paycordon.errors import ActionError, NotFound, OutcomeUnknown, Refused, RetryLater, type_and_place
from paycordon.exchange.contract import Contribution, ContributionKind, Receipt, Verb
from paycordon.exchange.sharing import Exchange, lasting
from paycordon.record import restricted
from paycordon.store import Store, cases, clocks, contributions, covert
from paycordon.store.contributed import Told
from paycordon.store.messages import Message, Words, claim
from paycordon.store.sharing import digests_in, ground_gone, refused, stays_in_the_house

PATIENCE = Timing(first_retry=timedelta(seconds=5), give_up_after=24)
"""A recipient may be away for half a day before a person is asked."""

_logger = logging.getLogger("paycordon")
_SAID = {
    RetryLater: "it was not taken, and is sent again",
    OutcomeUnknown: "it is not known whether it was taken; it is sent again under the same key",
}


class Exchanging:
    """A worker's duty: takes one message to a recipient after another. Any number of workers may run on one store.

    Right before a message is sent it is asked once more whether it may be: what was allowed when two people agreed may
    not be now. An answer that never came leaves it waiting, and the recipient has it once under its key. What is
    refused, and what keeps failing, is put before a person.

    Args:
        store: where the messages are.
        recipient: the recipient's name.
        exchange: all recipients.
        owner: a name no other worker has; leases carry it.
        clock: says what time it is, UTC.
        timing: how long things may take.
    """

    def __init__(
        self,
        store: Store,
        recipient: str,
        exchange: Exchange,
        *,
        owner: str,
        clock: Callable[[], datetime],
        timing: Timing = PATIENCE,
    ) -> None:
        self._store = store
        self._recipient = exchange.recipient(recipient)
        self._name = recipient
        self._exchange = exchange
        self._owner = owner
        self._clock = clock
        self._timing = timing

    def run_once(self) -> bool:
        """Send one message that is due; returns whether there was one.

        Raises:
            StoreUnavailable: the database cannot be used; the message is sent again once the lease has run out.
        """
        message = claim(self._store, self._name, self._owner, self._clock(), self._timing.lease)
        if message is None:
            return False
        if message.begun:
            self._doubt(message)
        try:
            receipt = self._send(message)
        except ActionError as error:
            self._failed(message, error)
        except Exception as error:  # a recipient must raise declared errors only; if it does not, nothing is known
            self._failed(message, OutcomeUnknown(f"unexpected {type_and_place(error)}"))
        else:
            self._taken(message, receipt)
        return True

    def tend(self) -> bool:
        """Let the recipient keep up what runs out."""
        self._recipient.tend()
        return False

    def _doubt(self, message: Message) -> None:
        """Note, before anything else is decided, that a worker which died may have sent it."""
        with self._store.write() as connection:
            contributions.lock(connection, message.contribution)
            contributions.doubt(connection, message)

    def _send(self, message: Message) -> Receipt:
        with self._store.read() as connection:
            theirs = self._require_allowed(connection, message)
            held_back = self._stays(connection, message)
        if held_back is not None:
            self._note_held_back(message, held_back)
            raise RetryLater("the recipient is not asked now")
        return self._recipient.send(message.outgoing(theirs, self._content(message)))

    def _require_allowed(self, connection: Connection, message: Message) -> str | None:
        """Return how the recipient calls what the message is about.

        Raises:
            Refused: it may not be sent any more.
        """
        if message.verb not in self._recipient.verbs:
            raise Refused(f"the recipient cannot be told `{message.verb}`")
        try:
            found = refused(connection, message, self._exchange, self._clock())
            stored = None if message.contribution is None else contributions.get(connection, message.contribution)
        except NotFound as gone:
            raise Refused(str(gone)) from None
        if stored is not None and message.verb is Verb.ADD:
            if stored.kind not in self._recipient.kinds:
                found.append(f"the recipient takes no `{stored.kind}`")
            if ground_gone(connection, stored.hold, stored.case):
                found.append("what it rests on was released")
        if found:
            raise Refused(f"it may not be told any more: {'; '.join(found)}")
        return None if stored is None else stored.theirs

    def _stays(self, connection: Connection, message: Message) -> str | None:
        """Return about whom nothing may leave now; a word that is taken back warns nobody."""
        if message.contribution is None or message.verb is Verb.RETRACT:
            return None
        stored = contributions.get(connection, message.contribution)
        words = self._words(message)
        new = [] if words is None else digests_in(words.content, self._recipient.here.digester)
        digests = [digest for _, digest, _ in (*stored.digests, *new)]
        return stays_in_the_house(connection, message.merchant, digests, self._clock())

    def _note_held_back(self, message: Message, merchant: str) -> None:
        """Tell the role `restricted`, and nobody else: to all others it looks like a recipient that is away."""
        if message.failures:
            return
        now = self._clock()
        words = f"{message.id} to `{message.recipient}` waits for the end of the request; must it be told anyway?"
        with self._store.write() as connection:
            covert.note(connection, merchant, now, secrets.token_bytes, "exchange", text_=words)
            restricted.append(connection, now, "covert.message", {"message": message.id, "merchant": merchant})

    def _words(self, message: Message) -> Words | None:
        return message.words(self._recipient.here.digester)

    def _content(self, message: Message) -> Contribution | None:
        words = self._words(message)
        return None if words is None else lasting(words.content, self._until(message))

    def _until(self, message: Message) -> datetime | None:
        lasts = self._recipient.settings.lasts
        # From when it was agreed to, so that each try says the same.
        return None if lasts is None else (message.agreed_at or message.asked_at) + lasts

    def _taken(self, message: Message, receipt: Receipt) -> None:
        now = self._clock()
        with self._store.write() as connection:
            cases.lock(connection, message.merchant)
            contributions.lock(connection, message.contribution)
            if not contributions.taken(connection, message, self._owner, receipt, self._told(message), now):
                return  # another worker has it, sends it again, and finds it there
            if message.contribution is None:
                return
            stored = contributions.get(connection, message.contribution)
            if message.verb is Verb.ADD and stored.kind is ContributionKind.TERMINATION:
                self._stop_listing_clock(connection, message.merchant, now)
            note = f"{message.contribution}: `{message.recipient}` took `{message.verb}`"
            if message.merchant:
                cases.note(connection, message.merchant, now, "exchange", note)

    def _told(self, message: Message) -> Told:
        content = self._content(message)
        if content is None or not (content.items or content.party):
            return Told()
        ends = [item.valid_until for item in content.items if item.valid_until is not None]
        all_end = ends and len(ends) == len(content.items)
        return Told(digests_in(content, self._recipient.here.digester), max(ends) if all_end else self._until(message))

    def _stop_listing_clock(self, connection: Connection, merchant: str, now: datetime) -> None:
        kind = self._recipient.settings.listing_clock
        for each in clocks.listed(connection, merchant=merchant) if kind else ():
            if each.kind == kind:
                clocks.stop(connection, each.subject_id, now, kinds=(each.kind,))

    def _failed(self, message: Message, error: ActionError) -> None:
        now = self._clock()
        stuck = isinstance(error, Refused) or message.failures + 1 >= self._timing.give_up_after
        asked = error.after if isinstance(error, RetryLater) else None
        pause: timedelta = self._timing.pause(message.failures + 1, asked, secrets.randbelow(100) / 100)
        # What a recipient says while it is away is left out: nobody can tell it from what is held back.
        said = f"{type(error).__name__}: {_SAID.get(type(error), str(error))}"
        doubtful = isinstance(error, OutcomeUnknown)
        with self._store.write() as connection:
            if stuck and message.merchant:
                cases.lock(connection, message.merchant)
            contributions.lock(connection, message.contribution)
            told = contributions.failed(
                connection, message, self._owner, said, now + pause, now, stuck=stuck, doubtful=doubtful
            )
            if told and stuck and message.merchant:
                note = f"{message.id}: `{message.verb}` at `{message.recipient}` is not done: {said}"
                cases.put_before_person(connection, message.merchant, now, "stuck", note)
        _logger.warning("a message to `%s` is not taken: %s", message.recipient, type(error).__name__)
