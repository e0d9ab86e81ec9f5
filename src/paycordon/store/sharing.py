"""What the store knows about what is to be told: whether it may be, and whether something must stay in the house."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Indicator
from paycordon.events import Identifier
from paycordon.exchange.contract import Contribution, ContributionKind, Verb
from paycordon.exchange.sharing import Exchange, Said, Standing, counts, refusals
from paycordon.feeds.items import Item
from paycordon.store import schema
from paycordon.store.directives import Kind
from paycordon.store.indicator_rows import indicator_of
from paycordon.store.messages import Message
from paycordon.store.schema import micros


def identifier_of(item: Item) -> Identifier:
    """Return the identifier that an item is about.

    Raises:
        ValueError: it looks like a card number, or is otherwise none.
    """
    return Identifier(kind=item.kind, value=item.value, digest=item.digest)


def digests_in(content: Contribution, digester: Digester) -> list[tuple[str, str, str]]:
    """Return kind, keyed digest and reference of each identifier in what is told."""
    return [
        (item.kind, digest, item.reference)
        for item in content.items
        for digest in digester.of_indicator(identifier_of(item), item.country)
    ]


def standing_of(
    connection: Connection,
    content: Contribution,
    merchant: str,
    digester: Digester,
    own: Collection[str],
    drafted_at: datetime,
    now: datetime,
) -> list[Standing]:
    """Say what is known of each item of what is to be told.

    Args:
        connection: for reading.
        content: what is to be told.
        merchant: whom it is about; empty for nobody in particular.
        digester: makes digests of plain values.
        own: the sources whose indicators are this deployment's own knowledge.
        drafted_at: when it was drafted; what others said only after that, it cannot rest on.
        now: the time, UTC.
    """
    return [_standing(connection, item, content, merchant, digester, own, drafted_at, now) for item in content.items]


def _standing(
    connection: Connection,
    item: Item,
    content: Contribution,
    merchant: str,
    digester: Digester,
    own: Collection[str],
    drafted_at: datetime,
    now: datetime,
) -> Standing:
    exact, derived, label = digester.all_of(identifier_of(item), item.country)
    known = _indicators(connection, {*exact, *derived})
    counting = [each for each in known if counts(each, now)]
    others = [each for each in counting if each.source not in own and _before(each, drafted_at)]
    relayed = None
    if content.kind is ContributionKind.RELAY:
        mine = (each for each in counting if each.digest in exact and each.source == content.origin)
        relayed = next((each for each in mine if each.reference == item.reference), None)
    return Standing(_seen(connection, exact, merchant), label, others, relayed)


def refused(
    connection: Connection, message: Message, exchange: Exchange, now: datetime, content: Contribution | None = None
) -> list[str]:
    """Say all that stands against sending a message now; empty if nothing does.

    Taking a word back is never refused, and an objection to what was told goes to whoever was told.

    Raises:
        NotFound: the recipient is not configured any more.
        Refused: the key that its words are sealed under is not configured any more, or they were changed.
    """
    recipient = exchange.recipient(message.recipient)
    words = None if content is not None else message.words(recipient.here.digester)
    told = words.content if words is not None else content
    if message.verb in (Verb.RETRACT, Verb.FEEDBACK):
        return []
    if told is None:
        return ["there is nothing to tell any more"]
    if message.verb is Verb.CORRECT and not told.items and told.party is None:
        return []
    digester = recipient.here.digester
    standing = standing_of(connection, told, message.merchant, digester, exchange.own, message.asked_at, now)
    said = Said(message.independent is not None, message.unseen is not None)
    return refusals(told, standing, recipient.settings, said, now)


def ground_gone(connection: Connection, hold: str | None, case: str | None) -> bool:
    """Tell whether what is told rests on a hold that was released, or on a case that was closed by a release."""
    if hold is not None:
        table = schema.holds
        released = select(table.c.id).where(table.c.id == hold, table.c.released_at.is_not(None))
        return connection.execute(released).first() is not None
    table = schema.cases
    closed = select(table.c.id).where(table.c.id == case, table.c.resolution == "release", table.c.restricted == 0)
    return case is not None and connection.execute(closed).first() is not None


def stays_in_the_house(connection: Connection, merchant: str, digests: Iterable[str], now: datetime) -> str | None:
    """Return a merchant about whom nothing may leave, because an authority asks to let it go on; none if there is none.

    Merchants with whom an identifier was seen count as well: what is told of it would warn them. One query for all, so
    that it costs the same whether there is such a request or not. Only the role `restricted` may learn the answer.
    """
    requests, sightings = schema.directives, schema.sightings
    seen = select(sightings.c.merchant).where(sightings.c.digest.in_(sorted(digests)))
    query = select(requests.c.merchant).where(
        requests.c.kind == Kind.KEEP_OPEN.value,
        requests.c.ended_at.is_(None),
        requests.c.starts_at <= micros(now),
        requests.c.ends_at > micros(now),
        or_(requests.c.merchant == merchant, requests.c.merchant.in_(seen)),
    )
    found: str | None = connection.execute(query.limit(1)).scalar()
    return found


def _indicators(connection: Connection, digests: Collection[str]) -> Sequence[Indicator]:
    table: Any = schema.indicators
    query = select(table).where(table.c.digest.in_(sorted(digests)), table.c.withdrawn_at.is_(None))
    ordered = query.order_by(table.c.source, table.c.reference, table.c.digest)
    return [indicator_of(row) for row in connection.execute(ordered).mappings()]


def _seen(connection: Connection, digests: Collection[str], merchant: str) -> bool:
    table = schema.sightings
    where = (table.c.merchant == merchant, table.c.digest.in_(sorted(digests)))
    return connection.execute(select(table.c.digest).where(*where).limit(1)).first() is not None


def _before(indicator: Indicator, at: datetime) -> bool:
    return indicator.changed_at is None or indicator.changed_at <= at
