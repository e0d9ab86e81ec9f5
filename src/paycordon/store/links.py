"""Search the graph of merchants and identifiers: the sightings that each screening writes are the graph.

Nothing is kept beside them, so what a screening saw counts in the next search. Every statement reads a bounded number
of rows of each identifier and each merchant by an index, so that a hub of many merchants costs as much as a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from paycordon.context import NearBlock, SharedIdentifier
from paycordon.decisions import Outcome
from paycordon.errors import NotFound
from paycordon.links import SHARED_KINDS, Hub, Member, Network, Reach, Tie
from paycordon.store.engine import Store
from paycordon.store.hits import padded
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros

_CHUNK = 32  # so many limited selects are one statement
_KINDS = ", ".join(f"'{kind}'" for kind in sorted(SHARED_KINDS))
_SIGHTING = "digest, merchant, kind, first_seen, last_seen"
_OF_DIGEST = f"SELECT {_SIGHTING} FROM sightings WHERE digest = :{{name}} ORDER BY merchant LIMIT :most"  # noqa: S608
_OF_MERCHANT = (
    f"SELECT {_SIGHTING} FROM sightings WHERE merchant = :{{name}} AND kind IN ({_KINDS}) "  # noqa: S608
    "ORDER BY digest LIMIT :most"
)
_BLOCKED_OF_DIGEST = (
    "SELECT digest, merchant, kind, CASE WHEN EXISTS (SELECT 1 FROM holds h WHERE h.merchant = s.merchant "
    "AND h.outcome = 'block' AND h.released_at IS NULL) THEN 1 ELSE 0 END FROM "
    "(SELECT digest, merchant, kind FROM sightings WHERE digest = :{name} LIMIT :most) AS s"
)
_STANDING = "SELECT merchant, outcome FROM holds WHERE released_at IS NULL AND merchant IN ({names})"
_PAGE = (
    f"SELECT digest, merchant FROM sightings WHERE kind IN ({_KINDS}) AND (digest, merchant) > (:digest, :merchant) "  # noqa: S608
    "ORDER BY digest, merchant LIMIT :page"
)
_page = Prepared(text(_PAGE))
_count = Prepared(text("SELECT COUNT(*) FROM sightings"))
_stopped = Prepared(
    text("SELECT DISTINCT merchant FROM holds WHERE released_at IS NULL AND outcome IN ('hold', 'block')")
)
PAGE = 20_000

# What a screening looks at: three statements, of at most so many rows, and none where nothing is shared. More merchants
# than this with one identifier are no trace that is worth a screening's time; `network` goes further.
_NEAR_OTHERS, _NEAR_IDENTIFIERS, _NEAR_DIGESTS = 10, 8, 32
_is_known = Prepared(text("SELECT 1 FROM merchants WHERE merchant = :merchant"))


@lru_cache(maxsize=32)
def _together(sql: str, size: int) -> Prepared:
    limited = (f"SELECT * FROM ({sql.format(name=f'd{i}')}) AS q{i}" for i in range(size))  # noqa: S608  # our own text
    return Prepared(text(" UNION ALL ".join(limited)))


@lru_cache(maxsize=8)
def _standing(size: int) -> Prepared:
    return Prepared(text(_STANDING.format(names=", ".join(f":d{i}" for i in range(size)))))


def _each(connection: Connection, sql: str, values: Sequence[str], most: int) -> Iterator[tuple[Any, ...]]:
    """At most `most` rows of each value."""
    for start in range(0, len(values), _CHUNK):
        listed = padded(values[start : start + _CHUNK])
        yield from dict.fromkeys(_together(sql, len(listed))(connection, {**listed, "most": most}))


@dataclass
class _Search:
    connection: Connection
    reach: Reach
    hops: dict[str, int]
    reached: dict[str, tuple[str, str]] = field(default_factory=dict)
    ties: dict[str, list[Tie]] = field(default_factory=dict)
    hubs: list[Hub] = field(default_factory=list)
    cut: bool = False

    def advance(self, frontier: Sequence[str], hop: int) -> list[str]:
        """Go one hop further; return the merchants that are new."""
        new: list[str] = []
        before = self._identifiers(frontier)
        for digest, ties in self._holders(list(before)).items():
            for tie in ties:
                if tie.merchant in self.hops:
                    continue
                if len(self.hops) >= self.reach.most_members:
                    self.cut = True
                    break
                self.hops[tie.merchant] = hop
                self.reached[tie.merchant] = (before[digest], digest)
                new.append(tie.merchant)
        return new

    def _identifiers(self, merchants: Sequence[str]) -> dict[str, str]:
        """What these merchants were seen with and was not looked at yet, and which of them first."""
        most, counts = self.reach.most_identifiers, dict.fromkeys(merchants, 0)
        found: dict[str, str] = {}
        named = {hub.digest for hub in self.hubs}
        for digest, merchant, kind, _, _ in _each(self.connection, _OF_MERCHANT, merchants, most + 1):
            counts[merchant] += 1
            if counts[merchant] > most:
                self.cut = True
            elif digest in self.reach.common:
                if digest not in named:
                    named.add(digest)
                    self.hubs.append(Hub(kind, digest, "on a warning list"))
            elif digest not in self.ties and digest not in named:
                found.setdefault(digest, merchant)
        return found

    def _holders(self, digests: Sequence[str]) -> dict[str, list[Tie]]:
        """Who else was seen with each, without hubs."""
        found: dict[str, list[Tie]] = {}
        for digest, merchant, kind, first, last in _each(
            self.connection, _OF_DIGEST, digests, self.reach.most_shared + 1
        ):
            found.setdefault(digest, []).append(Tie(merchant, kind, digest, from_micros(first), from_micros(last)))
        for digest, ties in list(found.items()):
            if len(ties) > self.reach.most_shared:
                self.hubs.append(Hub(ties[0].kind, digest, f"more than {self.reach.most_shared} merchants have it"))
                del found[digest]
        self.ties |= found
        return found


def network(connection: Connection, merchant: str, reach: Reach) -> Network:
    """Find who is linked to a merchant by identifiers that both were seen with.

    After a change of keys, an identifier counts as another one until it was seen again under the new key.

    Args:
        connection: in a transaction that sees one consistent state.
        merchant: where to begin.
        reach: how far to go.

    Raises:
        NotFound: no event of this merchant was seen.
    """
    if _is_known(connection, {"merchant": merchant}).first() is None:
        raise NotFound(f"no event of merchant `{merchant}` was seen")
    search = _Search(connection, reach, {merchant: 0})
    frontier = [merchant]
    for hop in range(1, reach.hops + 1):
        frontier = sorted(search.advance(frontier, hop))
        if not frontier:
            break
    standing = _standings(connection, list(search.hops))
    members = [Member(name, hops, standing.get(name, Outcome.ALLOW)) for name, hops in search.hops.items()]
    return Network(
        merchant=merchant,
        members=tuple(sorted(members, key=lambda each: (each.hops, each.merchant))),
        ties=tuple(_between(search.ties.values(), search.hops.keys())),
        reached=search.reached,
        hubs=tuple(search.hubs),
        cut=search.cut,
    )


def _between(groups: Iterable[list[Tie]], members: Iterable[str]) -> Iterator[Tie]:
    known = set(members)
    for ties in groups:
        within = [tie for tie in ties if tie.merchant in known]
        if len(within) > 1:
            yield from within


def _standings(connection: Connection, merchants: Sequence[str]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for start in range(0, len(merchants), _CHUNK):
        listed = padded(merchants[start : start + _CHUNK])
        for merchant, outcome in _standing(len(listed))(connection, listed):
            found[merchant] = Outcome.most_severe(found.get(merchant, Outcome.ALLOW), Outcome(outcome))
    return found


def near_blocks(connection: Connection, shared: Sequence[SharedIdentifier], merchant: str) -> tuple[NearBlock, ...]:
    """Find blocked merchants two hops from an event, within what a screening can wait for.

    Nothing is looked for where a blocked merchant has an identifier of the event itself.
    """
    if any(each.blocked for each in shared):
        return ()
    own = {stored: each for each in shared if each.others <= _NEAR_OTHERS for stored in each.stored or (each.digest,)}
    if not own:
        return ()
    between: dict[str, SharedIdentifier] = {}
    for digest, other, *_ in _each(connection, _OF_DIGEST, list(own)[:_NEAR_DIGESTS], _NEAR_OTHERS + 1):
        if other != merchant and len(between) < _NEAR_DIGESTS:
            between.setdefault(other, own[digest])
    first: dict[str, SharedIdentifier] = {}
    for digest, other, *_ in _each(connection, _OF_MERCHANT, list(between), _NEAR_IDENTIFIERS):
        if digest not in own:
            first.setdefault(digest, between[other])
    holders: dict[str, list[tuple[Any, ...]]] = {}
    for row in _each(connection, _BLOCKED_OF_DIGEST, list(first)[:_NEAR_DIGESTS], _NEAR_OTHERS + 1):
        holders.setdefault(row[0], []).append(row)
    found: dict[str, NearBlock] = {}
    for through, rows in holders.items():
        if len(rows) <= _NEAR_OTHERS and any(row[3] and row[1] != merchant for row in rows):
            by = first[through]
            found.setdefault(by.digest, NearBlock(by.kind, by.digest, rows[0][2], through))
    return tuple(found.values())


def sightings(store: Store, advance: Callable[[int], None] = lambda _: None) -> Iterator[tuple[str, str]]:
    """Stream the digest and the merchant of every sighting that can link merchants, in the order of the digests.

    Page by page, so that no transaction stays open for long; what is written meanwhile may or may not be among it.

    Args:
        store: what is read.
        advance: called with the number of those that were read so far.

    Raises:
        StoreUnavailable: the database cannot be used right now.
    """
    digest, merchant, done = "", "", 0
    while True:
        with store.read() as connection:
            rows = _page(connection, {"digest": digest, "merchant": merchant, "page": PAGE}).all()
        yield from rows
        done += len(rows)
        advance(done)
        if len(rows) < PAGE:
            return
        digest, merchant = rows[-1]


def amount(connection: Connection) -> int:
    """How many sightings there are, of all kinds."""
    return int(_count(connection).scalar())


def stopped(connection: Connection) -> frozenset[str]:
    """All merchants of whom something is held or blocked."""
    return frozenset(_stopped(connection).scalars())
