"""Nobody may forget to take a wrong word back: a duty that drafts what follows for what others were told.

When the hold that a word rests on is released, no rule asks for it any more, or the source of what was passed on takes
it back, a retraction is drafted by itself; an approver agrees, a clock runs, and the case says so. An objection of the
merchant is told along, and so is that it was decided. What nobody agreed to in time lapses and is drafted anew.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from paycordon.errors import Conflict, NotFound, Refused
from paycordon.exchange.contract import Contribution, ContributionKind, Verb
from paycordon.exchange.sharing import Exchange, beyond_terms
from paycordon.ids import Randomness
from paycordon.people import Person, Role
from paycordon.review.contributing import draft_retraction, open_appeal
from paycordon.review.proposals import Wish, propose_message
from paycordon.spans import Span, deadline
from paycordon.store import Store, cases, clocks, contributions, messages, proposals
from paycordon.store.clocks import NewClock
from paycordon.store.contributed import FINAL, Gone, State, StoredContribution
from paycordon.store.indicators import counting
from paycordon.store.messages import Message, MessageState, NewMessage, Words
from paycordon.store.schema import micros

ITSELF = Person("paycordon", frozenset({Role.ANALYST}))
KIND = "retraction"
_WARN_AHEAD = 0.25

_lapsed = text(
    "SELECT m.id FROM exchange_messages m LEFT JOIN proposals p ON p.id = m.proposal_id "
    "WHERE m.state = 'draft' AND (p.id IS NULL OR p.state <> 'open' OR p.lapses_at <= :now) ORDER BY m.id LIMIT 1"
)
_released = text(
    "SELECT c.id FROM contributions c JOIN holds h ON h.id = c.hold_id "
    "WHERE c.state IN ('draft', 'waiting', 'stuck', 'sent') AND c.answered < 2 AND h.released_at IS NOT NULL "
    "UNION SELECT c.id FROM contributions c JOIN cases k ON k.id = c.case_id "
    "WHERE c.state IN ('draft', 'waiting', 'stuck', 'sent') AND c.answered < 2 AND c.hold_id IS NULL "
    "AND k.resolution = 'release' ORDER BY 1"
)
_unsupported = text(
    "SELECT c.id, c.hold_id, w.holds FROM contributions c JOIN holds h ON h.id = c.hold_id "
    "JOIN withdrawal_items w ON w.decision_id = h.decision_id AND w.verdict = 'unsupported' "
    "WHERE c.state IN ('draft', 'waiting', 'stuck', 'sent') AND c.answered < 1 ORDER BY c.id"
)
_relays = text(
    "SELECT id FROM contributions WHERE kind = 'relay' AND state = 'sent' AND answered < 2 AND id > :after "
    "ORDER BY id LIMIT 500"
)
_elsewhere = text(
    "SELECT 1 FROM indicators WHERE source = :source AND reference = :reference AND withdrawn_at IS NULL "
    "AND digest NOT LIKE :key LIMIT 1"
)
_appeals = text(
    "SELECT DISTINCT c.id FROM contributions c JOIN appeals a ON a.merchant = c.merchant "
    "JOIN cases k ON k.id = a.case_id AND k.closed_at IS NULL "
    "WHERE c.state = 'sent' AND (c.appeal IS NULL OR c.appeal <> a.id) "
    "UNION SELECT c.id FROM contributions c WHERE c.state = 'sent' AND c.appeal IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM appeals a JOIN cases k ON k.id = a.case_id AND k.closed_at IS NULL "
    "WHERE a.merchant = c.merchant) ORDER BY 1"
)


class TakingBack:
    """The duty.

    Args:
        store: where contributions are.
        exchange: finds the recipients.
        within: by when what lost its ground is taken back.
        clock: says what time it is, UTC.
        lifetime: how long a proposal waits for an approver.
        randomness: for ids.
    """

    def __init__(
        self,
        store: Store,
        exchange: Exchange,
        *,
        within: Span,
        clock: Callable[[], datetime],
        lifetime: timedelta = timedelta(days=7),
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._within = within
        self._clock = clock
        self._lifetime = lifetime
        self._randomness = randomness

    def step(self) -> bool:
        """Do what is due, each in a transaction of its own; false when there was nothing.

        Raises:
            StoreUnavailable: the database cannot be used; what was done is done.
        """
        return any([self._lapse(), self._take_back(), self._tell_appeals(), self._end()])

    def _lapse(self) -> bool:
        now, done = self._clock(), False
        while True:
            with self._store.read() as connection:
                found = connection.execute(_lapsed, {"now": micros(now)}).scalar()
            if found is None:
                return done
            with self._store.write() as connection:
                contributions.lock(connection, messages.get(connection, found).contribution)
                message = messages.get(connection, found)
                told_again = self._has_appeal(message)
                if contributions.drop(connection, message, State.LAPSED, by=ITSELF.name, now=now) and told_again:
                    contributions.told_of_appeal(connection, message.contribution or "", None)
            done = True

    def _has_appeal(self, message: Message) -> bool:
        """Tell whether a correction would have told of an objection: then it is drafted again."""
        recipient = self._exchange.recipients.get(message.recipient)
        if message.verb is not Verb.CORRECT or recipient is None:
            return False
        with suppress(Refused):  # nobody can read it any more
            words = message.words(recipient.here.digester)
            return words is not None and bool(words.content.appeal)
        return False

    def _take_back(self) -> bool:
        with self._store.read() as connection:
            found = list(self._without_ground(connection))
        return sum(self._take_one_back(id_, gone) for id_, gone in found) > 0

    def _without_ground(self, connection: Connection) -> Iterator[tuple[str, Gone]]:
        released = list(connection.execute(_released).scalars())
        yield from ((id_, Gone.RELEASED) for id_ in released)
        for id_, hold, verdicts in connection.execute(_unsupported).all():
            unsupported = {each["hold"] for each in json.loads(verdicts or "[]") if each["verdict"] == "unsupported"}
            if hold in unsupported and id_ not in released:
                yield id_, Gone.UNSUPPORTED
        after = ""
        while page := list(connection.execute(_relays, {"after": after}).scalars()):
            yield from ((id_, Gone.RELEASED) for id_ in page if self._may_not_stay(connection, id_))
            after = page[-1]

    def _may_not_stay(self, connection: Connection, id_: str) -> bool:
        """Tell whether the source of what was passed on has taken it back, or does not allow it any more."""
        found = contributions.get(connection, id_)
        recipient = self._exchange.recipients.get(found.recipient)
        for _, digest, reference in found.digests:
            indicator = counting(connection, digest, found.origin or "", reference)
            if indicator is None and not _under_another_key(connection, digest, found.origin or "", reference):
                return True
            if indicator is None:
                continue
            if recipient is not None and beyond_terms(indicator, recipient.settings, self._clock()):
                return True
        return False

    def _take_one_back(self, id_: str, gone: Gone) -> bool:
        now = self._clock()
        with self._store.write() as connection:
            found = contributions.get(connection, id_)
            cases.lock(connection, found.merchant)
            contributions.lock(connection, id_)
            found = contributions.get(connection, id_)
            if found.answered >= gone or found.state in FINAL:
                return False  # another worker was faster
            open_ones = [each for each in messages.of(connection, id_) if each.state in messages.OPEN]
            if any(messages.in_hand(connection, each.id, now) for each in open_ones):
                return False  # it is being sent right now; what becomes of that is seen the next time
            retracting = any(each.verb is Verb.RETRACT for each in open_ones)
            for each in open_ones:
                if each.verb is not Verb.RETRACT:
                    self._give_up(connection, each, now)
            contributions.answer(connection, id_, gone)
            if not retracting and contributions.get(connection, id_).state is State.SENT:
                self._draft_retraction(connection, found, gone, now)
        return True

    def _give_up(self, connection: Connection, message: Message, now: datetime) -> None:
        contributions.drop(connection, message, State.DROPPED, by=ITSELF.name, now=now)
        if message.state is MessageState.DRAFT and message.proposal is not None:
            self._decline(connection, message.proposal, now)
        note = f"{message.id}: {message.verb} at {message.recipient} is not sent: what it rests on was released"
        cases.note(connection, message.merchant, now, "exchange", note)

    def _decline(self, connection: Connection, proposal: str, now: datetime) -> None:
        try:
            found = proposals.get(connection, proposal, now)
            proposals.decide(connection, found, "declined", ITSELF.name, "what it rests on was released", now)
        except (Conflict, NotFound):
            return  # somebody decided about it, or it has lapsed

    def _draft_retraction(self, connection: Connection, found: StoredContribution, gone: Gone, now: datetime) -> None:
        why = _WHY[gone] if found.kind is not ContributionKind.RELAY else "its source does not let it stand any more"
        if not found.merchant:  # what others know is about nobody's case
            if self._can(found, Verb.RETRACT):
                wish = self._wish(why, now)
                propose_message(connection, draft_retraction(connection, found, wish), wish)
            return
        due_at = deadline(now, self._within)
        ahead = due_at - (due_at - now) * _WARN_AHEAD
        source = "withdrawal.retract_within"
        clocks.start(connection, NewClock("contribution", found.id, found.merchant, KIND, source, due_at, ahead), now)
        by = f"by {due_at:%Y-%m-%d %H:%M}Z"
        if not self._can(found, Verb.RETRACT):
            note = (
                f"{found.id}: take back by hand {by} what `{found.recipient}` was told ({why}), then note it with "
                f"`paycordon exchange retract {found.id} --by-hand`"
            )
            cases.put_before_person(connection, found.merchant, now, "exchange", note)
            return
        message = draft_retraction(connection, found, self._wish(why, now))
        # The case comes first, so that the proposal belongs to it.
        case = cases.open_for(connection, found.merchant, now, self._randomness, priority=cases.PRESSING)
        made = propose_message(connection, message, self._wish(why, now))
        note = f"{made.id} takes back {found.id} at `{found.recipient}` ({why}): an approver agrees {by}"
        cases.add_event(connection, case, now, "exchange", note=note)

    def _tell_appeals(self) -> bool:
        with self._store.read() as connection:
            found = list(connection.execute(_appeals).scalars())
        return sum(self._tell_appeal(id_) for id_ in found) > 0

    def _tell_appeal(self, id_: str) -> bool:
        now = self._clock()
        with self._store.write() as connection:
            found = contributions.get(connection, id_)
            cases.lock(connection, found.merchant)
            contributions.lock(connection, id_)
            found = contributions.get(connection, id_)
            appeal = open_appeal(connection, found.merchant)  # none: it was decided
            busy = any(each.state in messages.OPEN for each in messages.of(connection, id_))
            if appeal == found.appeal or found.state is not State.SENT or busy:
                return False
            contributions.told_of_appeal(connection, id_, appeal)
            what = f"the objection {appeal}" if appeal else f"the end of the objection {found.appeal}"
            if not self._can(found, Verb.CORRECT):
                note = f"{id_}: `{found.recipient}` cannot be told of {what}"
                cases.note(connection, found.merchant, now, "exchange", note)
                return True
            why = f"the merchant objects ({appeal})" if appeal else f"the objection {found.appeal} was decided"
            revision = contributions.next_revision(connection, id_)
            words = Words(Contribution(kind=found.kind, appeal=appeal or ""))
            digester = self._exchange.recipient(found.recipient).here.digester
            new = NewMessage(
                recipient=found.recipient,
                merchant=found.merchant,
                verb=Verb.CORRECT,
                revision=revision,
                reason=why,
                asked_by=ITSELF.name,
                contribution=id_,
                sealed=words.sealed(digester, id_, revision),
            )
            message = contributions.draft_more(connection, new, now, self._randomness)
            made = propose_message(connection, message, self._wish(why, now))
            note = f"{made.id} tells `{found.recipient}` of {what} to {id_}: an approver agrees"
            cases.note(connection, found.merchant, now, "exchange", note)
        return True

    def _end(self) -> bool:
        with self._store.read() as connection:
            if not contributions.any_over(connection, self._clock()):
                return False
        with self._store.write() as connection:
            return contributions.ended(connection, self._clock()) > 0

    def _can(self, found: StoredContribution, verb: Verb) -> bool:
        recipient = self._exchange.recipients.get(found.recipient)
        return recipient is not None and verb in recipient.verbs

    def _wish(self, why: str, now: datetime) -> Wish:
        return Wish(ITSELF, why, now, self._randomness, self._lifetime)


def _under_another_key(connection: Connection, digest: str, source: str, reference: str) -> bool:
    """Tell whether a source says the same under another identifier key: keys change, and its word stands."""
    key = f"{digest.rpartition(':')[0]}:%"
    return connection.execute(_elsewhere, {"source": source, "reference": reference, "key": key}).first() is not None


_WHY = {Gone.RELEASED: "what it rests on was released", Gone.UNSUPPORTED: "no rule asks any more for what it rests on"}
