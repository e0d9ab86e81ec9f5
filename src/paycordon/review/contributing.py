"""What people do to tell others what this deployment knows: one drafts, another agrees, and a worker sends it.

Feedback on an indicator takes one person. Nothing else leaves without two; see `paycordon.review.proposals.agree`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from paycordon.coalition.indicators import Tlp
from paycordon.decisions import Outcome
from paycordon.errors import Conflict, FeedRefused, NotFound, PaycordonError
from paycordon.exchange.contract import Contribution, ContributionKind, Verb, Worth
from paycordon.exchange.drafts import Draft, DraftWords
from paycordon.exchange.reasons import problem_with
from paycordon.exchange.sharing import Exchange
from paycordon.feeds.items import Item, digests_of
from paycordon.ids import new_id
from paycordon.people import Role
from paycordon.review.permission import require_allowed
from paycordon.review.proposals import Wish, propose_message
from paycordon.store import cases, contributions, holds, messages, schema
from paycordon.store.contributed import NewContribution, State, StoredContribution
from paycordon.store.holds import Source
from paycordon.store.indicators import counting
from paycordon.store.messages import Message, MessageState, NewMessage, Words
from paycordon.store.proposals import Proposal
from paycordon.store.schema import micros
from paycordon.store.sharing import digests_in, identifier_of, standing_of


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person states about identifiers, kept for good.

    Attributes:
        independent: how it is known otherwise than from the sources that say it here too.
        unseen: why identifiers are the merchant's that were never seen with it.
    """

    independent: str | None = None
    unseen: str | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """What was drafted, and the proposal that a second person agrees to.

    Attributes:
        seen: of each item, its kind, and whether the identifier was ever seen with the merchant.
    """

    message: Message
    proposal: Proposal
    seen: Sequence[tuple[str, bool]] = ()


def draft(
    connection: Connection, exchange: Exchange, wanted: Draft, wish: Wish, stated: Statement | None = None
) -> Drafted:
    """Draft what a recipient is to be told, and propose it.

    Raises:
        Forbidden: the person is no analyst.
        NotFound: there is no such recipient, merchant, hold or indicator.
        Conflict: it may not be told, or rests on nothing here; says why.
        PaycordonError: a field cannot be taken; names it.
    """
    wish.by.require(Role.ANALYST)
    exchange.recipient(wanted.recipient)
    stated, merchant = stated or Statement(), wanted.merchant or ""
    id_ = new_id("ctr", wish.now, wish.randomness)
    hold, case = _ground(connection, wanted)
    content = _content(connection, exchange, wanted, wanted.kind, id_, wanted.origin, wanted.recipient)
    appeal = open_appeal(connection, merchant) or ""
    content = content.model_copy(update={"appeal": appeal})
    words = Words(content, _seen(connection, exchange, content, wanted.recipient, merchant, wish.now))
    first = NewMessage(
        recipient=wanted.recipient,
        merchant=merchant,
        verb=Verb.ADD,
        revision=1,
        reason=wish.reason,
        asked_by=wish.by.name,
        contribution=id_,
        sealed=words.sealed(exchange.recipient(wanted.recipient).here.digester, id_, 1),
        independent=stated.independent,
        unseen=stated.unseen,
    )
    digests = digests_in(content, exchange.recipient(wanted.recipient).here.digester)
    new = NewContribution(
        *(id_, wanted.recipient, merchant, wanted.kind, digests, hold, case, content.reason),
        origin=wanted.origin,
        appeal=appeal or None,
    )
    if (there := contributions.same(connection, new)) is not None:
        raise Conflict(f"`{wanted.recipient}` is told so already, by `{there}`; correct or retract that")
    message = contributions.draft(connection, new, first, wish.now, wish.randomness)
    return _propose(connection, exchange, message, wish)


def correct(
    connection: Connection,
    exchange: Exchange,
    contribution: str,
    wanted: DraftWords,
    wish: Wish,
    stated: Statement | None = None,
) -> Drafted:
    """Draft a correction of what a recipient was told, and propose it; otherwise as `draft`.

    Raises:
        Conflict: it does not stand at the recipient, or is being corrected already.
    """
    wish.by.require(Role.ANALYST)
    found = _standing(connection, contribution)
    if not (wanted.items or wanted.party or wanted.reason or wanted.ended_on):
        raise PaycordonError("the correction says nothing; name what is otherwise")
    stated = stated or Statement()
    content = _content(connection, exchange, wanted, found.kind, found.id, found.origin, found.recipient, found.code)
    content = content.model_copy(update={"appeal": open_appeal(connection, found.merchant) or ""})
    words = Words(content, _seen(connection, exchange, content, found.recipient, found.merchant, wish.now))
    revision = contributions.next_revision(connection, found.id)
    new = NewMessage(
        recipient=found.recipient,
        merchant=found.merchant,
        verb=Verb.CORRECT,
        revision=revision,
        reason=wish.reason,
        asked_by=wish.by.name,
        contribution=found.id,
        sealed=words.sealed(exchange.recipient(found.recipient).here.digester, found.id, revision),
        independent=stated.independent,
        unseen=stated.unseen,
    )
    message = contributions.draft_more(connection, new, wish.now, wish.randomness)
    return _propose(connection, exchange, message, wish)


def retract(
    connection: Connection, exchange: Exchange, contribution: str, wish: Wish, *, by_hand: bool = False
) -> Drafted | None:
    """Draft to take back what a recipient was told, and propose it; what was not sent yet is given up at once.

    Args:
        connection: a transaction for writing.
        exchange: the recipients.
        contribution: which one.
        wish: who wants it, and why.
        by_hand: whether people have taken it back at the recipient themselves, and it is only to be noted.

    Returns:
        The draft; none where nothing had been sent, so that there is nothing to take back.

    Raises:
        Forbidden: the person is no analyst.
        NotFound: there is no such contribution.
        Conflict: it does not stand there, the recipient takes no retractions, or it is being taken back already.
    """
    wish.by.require(Role.ANALYST)
    if not _given_up(connection, contribution, wish, by_hand=by_hand):
        return None
    found = _standing(connection, contribution)
    message = draft_retraction(connection, found, wish, by_hand=by_hand)
    return _propose(connection, exchange, message, wish)


def _given_up(connection: Connection, contribution: str, wish: Wish, *, by_hand: bool) -> bool:
    """Give up messages that wait or are stuck; tells whether something stands at the recipient, or may."""
    cases.lock(connection, contributions.get(connection, contribution).merchant)
    contributions.lock(connection, contribution)
    found = contributions.get(connection, contribution)
    late = {Verb.ADD} if found.state in (State.WAITING, State.STUCK) else set()
    late |= {Verb.RETRACT} if by_hand and found.state is State.RETRACTING else set()
    for message in messages.of(connection, contribution):
        if message.verb in late and message.state in (MessageState.WAITING, MessageState.STUCK):
            if messages.in_hand(connection, message.id, wish.now):
                raise Conflict(f"`{message.id}` is being sent right now; try again in a few minutes")
            contributions.drop(connection, message, State.DROPPED, by=wish.by.name, now=wish.now)
    return contributions.get(connection, contribution).state is not State.DROPPED or Verb.ADD not in late


def draft_retraction(
    connection: Connection, found: StoredContribution, wish: Wish, *, by_hand: bool = False
) -> Message:
    """Draft to take something back; who agrees is asked by the caller."""
    new = NewMessage(
        recipient=found.recipient,
        merchant=found.merchant,
        verb=Verb.RETRACT,
        revision=contributions.next_revision(connection, found.id),
        reason=wish.reason,
        asked_by=wish.by.name,
        contribution=found.id,
        by_hand=by_hand,
    )
    return contributions.draft_more(connection, new, wish.now, wish.randomness)


def feedback(
    connection: Connection, exchange: Exchange, source: str, reference: str, worth: Worth, wish: Wish
) -> Message:
    """Let a worker tell a source what people made of one of its indicators.

    Raises:
        Forbidden: the person is no analyst.
        NotFound: the source never said such a thing here.
        Conflict: no recipient that takes feedback is this source, or it was told the same and has said nothing since.
    """
    wish.by.require(Role.ANALYST)
    table, about = schema.indicators, {"source": source, "reference": reference, "worth": worth.value}
    said = select(func.max(table.c.changed_at)).where(table.c.source == source, table.c.reference == reference)
    said_at: int | None = connection.execute(said).scalar()
    if said_at is None:
        raise NotFound(f"there is no indicator `{reference}` of `{source}`; `paycordon indicator list` lists them")
    name = next((n for n, each in exchange.recipients.items() if each.settings.source == source), None)
    if name is None:
        raise Conflict(f"no recipient is the source `{source}`; name it as `source` of one under `exchange`")
    if Verb.FEEDBACK not in exchange.recipients[name].verbs:
        raise Conflict(f"`{name}` takes no feedback")
    (last, *_) = messages.feedback_given(connection, about=about, limit=1) or (None,)
    if last is not None and last.state in messages.OPEN:
        raise Conflict(f"the same feedback waits to be told already, as `{last.id}`")
    if last is not None and last.state is MessageState.TAKEN and micros(last.asked_at) >= said_at:
        raise Conflict(f"`{name}` was told so already, by `{last.id}`")
    new = NewMessage(name, "", Verb.FEEDBACK, 1, wish.reason, wish.by.name, about=about)
    return contributions.give_feedback(connection, new, wish.now, wish.randomness)


def open_appeal(connection: Connection, merchant: str) -> str | None:
    """Return the reference of the merchant's newest objection whose case is open; none if there is none."""
    appeals, table = schema.appeals, schema.cases
    query = (
        select(appeals.c.id)
        .join(table, table.c.id == appeals.c.case_id)
        .where(appeals.c.merchant == merchant, table.c.closed_at.is_(None), table.c.restricted == 0)
        .order_by(appeals.c.received_at.desc(), appeals.c.id.desc())
        .limit(1)
    )
    found: str | None = connection.execute(query).scalar()
    return found


def _propose(connection: Connection, exchange: Exchange, message: Message, wish: Wish) -> Drafted:
    require_allowed(connection, message, exchange, wish.now)
    proposal = propose_message(connection, message, wish)
    words = None if message.sealed is None else message.words(exchange.recipient(message.recipient).here.digester)
    items, seen = (words.content.items, words.seen) if words else ((), ())
    return Drafted(message, proposal, [(item.kind, each) for item, each in zip(items, seen, strict=True)])


def _ground(connection: Connection, wanted: Draft) -> tuple[str | None, str | None]:
    """Return the hold, or else the case, that something rests on.

    A wrong word ruins an honest merchant, so it must rest on what stands here; a termination on a block.
    """
    if wanted.kind is ContributionKind.RELAY:
        return None, None
    merchants = schema.merchants
    known = select(merchants.c.merchant).where(merchants.c.merchant == wanted.merchant)
    if wanted.merchant is None or connection.execute(known).first() is None:
        raise NotFound(f"no event of merchant `{wanted.merchant or ''}` was seen; `merchant` names it")
    if wanted.hold is not None and holds.get(connection, wanted.hold).merchant != wanted.merchant:
        raise Conflict(f"the hold `{wanted.hold}` is not of this merchant")
    terminated = wanted.kind is ContributionKind.TERMINATION
    standing = [each for each in holds.listed(connection, merchant=wanted.merchant) if each.source is not Source.ORDER]
    fitting = [each for each in standing if each.outcome is Outcome.BLOCK or not terminated]
    fitting = [each for each in fitting if wanted.hold in (None, each.id)]
    case = cases.of(connection, wanted.merchant)
    if fitting:
        return max(fitting, key=lambda each: each.outcome is Outcome.BLOCK).id, case
    if terminated:
        raise Conflict("a termination rests on a block in force, and there is none (an order does not count)")
    if wanted.hold is not None or case is None:
        raise Conflict("a sighting rests on a hold in force or an open case of the merchant, and there is none")
    return None, case


def _standing(connection: Connection, contribution: str) -> StoredContribution:
    contributions.lock(connection, contribution)
    found = contributions.get(connection, contribution)
    if found.state is not State.SENT:
        raise Conflict(f"`{contribution}` does not stand at `{found.recipient}`: it is `{found.state}`")
    return found


def _content(
    connection: Connection,
    exchange: Exchange,
    wanted: DraftWords,
    kind: ContributionKind,
    id_: str,
    origin: str | None,
    recipient: str,
    code: str | None = None,
) -> Contribution:
    if kind is ContributionKind.TERMINATION and (problem := problem_with(wanted.reason or code)):
        raise PaycordonError(problem)
    if kind is ContributionKind.RELAY and origin is None:
        raise PaycordonError("to pass on what others know, `origin` names the source")
    digester = exchange.recipient(recipient).here.digester
    items: list[Item] = []
    for number, each in enumerate(wanted.items, start=1):
        where = f"item {number}"
        try:
            if kind is ContributionKind.RELAY:
                probe = each.own(each.reference or "", None, where)
                exact = sorted(digester.all_of(identifier_of(probe), each.country)[0])
                found = (counting(connection, digest, origin or "", each.reference or "") for digest in exact)
                indicator = next((one for one in found if one is not None), None)
                if indicator is None:
                    raise Conflict(f"{where}: `{origin}` says nothing of it here under this `reference`")
                items.append(each.relayed(indicator, wanted.tlp, where))
            else:
                items.append(each.own(id_, wanted.tlp, where))
            digests_of(items[-1], digester, where)
        except (FeedRefused, ValueError) as error:
            said = str(error) if isinstance(error, FeedRefused) else f"{where}: `value` cannot be taken"
            raise PaycordonError(said) from None
    wanted.require_no_card_number()
    return Contribution(
        kind=kind,
        items=tuple(items),
        party=wanted.party,
        tlp=wanted.tlp or Tlp.AMBER_STRICT,
        reason=wanted.reason or code,
        ended_on=wanted.ended_on,
        origin=origin or "",
    )


def _seen(
    connection: Connection, exchange: Exchange, content: Contribution, recipient: str, merchant: str, now: datetime
) -> tuple[bool, ...]:
    digester = exchange.recipient(recipient).here.digester
    standing = standing_of(connection, content, merchant, digester, exchange.own, now, now)
    return tuple(each.seen for each in standing)
