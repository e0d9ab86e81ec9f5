"""Which identifiers an inquiry asks about, and which of them a match is about: as digests, and nothing plain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Indicator, Status, Tlp
from paycordon.events import Identifier, IdentifierKind
from paycordon.exchange.contract import Party
from paycordon.exchange.inquiry import About, Likeness, Match, Matched

# How sure an identifier that is listed exactly makes. A number that identifies names one; a name is had by many, so
# that policies do not stop on it alone; what is only alike is a reason to look. No list publishes such numbers: these
# are ours.
CONFIDENCE: Mapping[str, int] = {
    IdentifierKind.TAX_ID: 90,
    IdentifierKind.PHONE: 80,
    IdentifierKind.URL: 80,
    IdentifierKind.DOMAIN: 80,
    IdentifierKind.LEGAL_ENTITY: 60,
    IdentifierKind.PERSON: 60,
}
ALIKE = 30

Name = tuple[str, str]  # kind and digest


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked about, as digests.

    Attributes:
        parts: by what of the merchant, each value of it with the identifiers that it is: a website is also a domain.
        people: the same of each principal.
    """

    parts: Mapping[str, Sequence[Sequence[Name]]]
    people: Sequence[Mapping[str, Sequence[Sequence[Name]]]]

    @classmethod
    def of(cls, party: Party, digester: Digester) -> Asked:
        """Return what an inquiry about a party asks about."""
        home = party.address.country
        said = {
            About.LEGAL_NAME: (IdentifierKind.LEGAL_ENTITY, (party.legal_name,)),
            About.TRADING_NAME: (IdentifierKind.LEGAL_ENTITY, (party.trading_name,)),
            About.PHONE: (IdentifierKind.PHONE, (party.phone,)),
            About.TAX_ID: (IdentifierKind.TAX_ID, (party.tax_id,)),
            About.URL: (IdentifierKind.URL, party.urls),
        }
        parts = {about.value: _named(kind, values, home, digester) for about, (kind, values) in said.items()}
        people = [
            {
                About.PERSON.value: _named(
                    IdentifierKind.PERSON, (f"{each.first_name} {each.last_name}",), home, digester
                ),
                About.PERSON_PHONE.value: _named(
                    IdentifierKind.PHONE, (each.phone,), each.address.country or home, digester
                ),
                About.PERSON_ID.value: _named(
                    IdentifierKind.TAX_ID, (each.national_id,), each.address.country or home, digester
                ),
            }
            for each in party.principals
        ]
        return cls({k: v for k, v in parts.items() if v}, [{k: v for k, v in who.items() if v} for who in people])

    @staticmethod
    def under_shared(party: Party, digester: Digester) -> frozenset[Name]:
        """Return the same identifiers under the keys that the coalition shares."""
        each = (Asked.of(party, digester.under(key)).names for key in digester.shared)
        return frozenset().union(*each)

    @property
    def names(self) -> frozenset[Name]:
        """All identifiers that were asked about."""
        each = (*self.parts.values(), *(values for who in self.people for values in who.values()))
        return frozenset((kind, digest) for values in each for value in values for kind, digest in value)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON-like values."""
        return {"parts": dict(self.parts), "people": [dict(who) for who in self.people]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Asked:
        """Return what `as_json` made."""

        def read(parts: Mapping[str, Any]) -> dict[str, list[list[Name]]]:
            return {
                about: [[(kind, digest) for kind, digest in value] for value in values]
                for about, values in parts.items()
            }

        return cls(read(stored["parts"]), [read(who) for who in stored["people"]])


@dataclass(frozen=True, slots=True)
class Hit:
    """A match as it is stored.

    Attributes:
        listing, reason, listed_on, listed_by: as in `Match`; the date as ISO text.
        names: kind, digest and likeness of each identifier asked about that it is known to be about.
        about: all that matched, as `tax_id: exact`, for people.
        taken: whether indicators were made of it.
    """

    listing: str
    reason: str
    listed_on: str | None
    listed_by: str
    names: Sequence[tuple[str, str, str]]
    about: Sequence[str]
    taken: bool = False


def hit_of(match: Match, asked: Asked, digester: Digester) -> Hit:
    """Say which of the identifiers asked about a match is about.

    Where the party has several of something and the list does not say, or say readably, which one it means, none is:
    a partner in business is not suspected for somebody else's sake.
    """
    names = dict[tuple[str, str], str]()
    for matched in match.matched:
        _note(names, matched, asked.parts.get(matched.about.value, ()), digester)
    for person in match.people:
        who = _who(person, asked.people, digester)
        for matched in person if who is not None else ():
            _note(names, matched, (who or {}).get(matched.about.value, ()), digester)
    each = (*match.matched, *(matched for person in match.people for matched in person))
    return Hit(
        match.listing,
        match.reason,
        None if match.listed_on is None else match.listed_on.isoformat(),
        match.listed_by,
        [(kind, digest, likeness) for (kind, digest), likeness in sorted(names.items())],
        sorted({f"{matched.about}: {matched.likeness}" for matched in each}),
    )


def indicators_of(hits: Iterable[Hit], source: str, lasts: timedelta, at: datetime) -> list[Indicator]:
    """Turn matches into indicators of the list; of one identifier and listing, the surest counts.

    Args:
        hits: the matches.
        source: how the configuration calls the list.
        lasts: how long a listing counts.
        at: when it was heard of, UTC.
    """
    found: dict[tuple[str, str], Indicator] = {}
    for hit in hits:
        since = at if hit.listed_on is None else datetime.combine(date.fromisoformat(hit.listed_on), time(), UTC)
        for kind, digest, likeness in hit.names:
            indicator = Indicator(
                kind=kind,
                digest=digest,
                source=source,
                reference=hit.listing,
                confidence=CONFIDENCE.get(kind, ALIKE) if likeness == Likeness.EXACT else ALIKE,
                status=Status.NETWORK_LISTING,
                valid_until=since + lasts,
                category=hit.reason,
                tlp=Tlp.AMBER_STRICT,
                first_seen=since,
                last_seen=since,
            )
            before = found.get((digest, hit.listing))
            if before is None or before.confidence < indicator.confidence:
                found[digest, hit.listing] = indicator
    return list(found.values())


def _named(kind: IdentifierKind, values: Iterable[str], country: str | None, digester: Digester) -> list[list[Name]]:
    return [list(_names(kind, value, country, digester)) for value in values if value.strip()]


def _names(kind: IdentifierKind, value: str, country: str | None, digester: Digester) -> Iterator[Name]:
    yield kind.value, digester.digest(Identifier(kind=kind, value=value), country)
    host = _bare_host(value) if kind is IdentifierKind.URL else ""
    if host:
        yield IdentifierKind.DOMAIN.value, digester.digest(Identifier(kind=IdentifierKind.DOMAIN, value=host))


def _bare_host(url: str) -> str:
    """Return the host of an address that names a whole website; empty if it names a part of one."""
    host, _, rest = url.strip().lower().removeprefix("https://").removeprefix("http://").partition("/")
    return host.removeprefix("www.") if not rest and "@" not in host and "?" not in host else ""


def _note(names: dict[Name, str], matched: Matched, values: Sequence[Sequence[Name]], digester: Digester) -> None:
    meant = values[0] if len(values) == 1 else _meant(matched, values, digester)
    for kind, digest in meant:
        if names.get((kind, digest)) != Likeness.EXACT:
            names[kind, digest] = matched.likeness.value


def _meant(matched: Matched, values: Sequence[Sequence[Name]], digester: Digester) -> Sequence[Name]:
    """Return the one of several values that the list names."""
    written = set(_written(matched, digester))
    return next((value for value in values if written & {digest for _, digest in value}), ())


def _written(matched: Matched, digester: Digester) -> Iterator[str]:
    if not matched.value:
        return
    if matched.about is About.URL:
        for value in (matched.value, f"https://{matched.value.lower()}", f"http://{matched.value.lower()}"):
            yield from (digest for _, digest in _names(IdentifierKind.URL, value, None, digester))
    elif matched.about is About.PERSON:
        yield from (digest for _, digest in _names(IdentifierKind.PERSON, matched.value, None, digester))


def _who(
    person: Sequence[Matched], people: Sequence[Mapping[str, Sequence[Sequence[Name]]]], digester: Digester
) -> Mapping[str, Sequence[Sequence[Name]]] | None:
    """Return the principal that a listed person is: the only one, or the one whose name the list has."""
    if len(people) == 1:
        return people[0]
    named = [matched for matched in person if matched.about is About.PERSON]
    written = {digest for matched in named for digest in _written(matched, digester)}
    for who in people:
        if written & {digest for value in who.get(About.PERSON.value, ()) for _, digest in value}:
            return who
    return None
