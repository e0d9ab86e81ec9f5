"""Which names of an event stand on which lists. Done on the plain event, before its identifiers become digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paycordon.coalition.identifiers import Digester
from paycordon.context import NameHit
from paycordon.errors import NotFound
from paycordon.events import Event, Identifier, IdentifierKind
from paycordon.names.index import CurrentIndex, Found
from paycordon.names.words import NameKind

# More names than this on one event are somebody's attempt to keep the engine busy.
MAX_NAMES = 16
HITS_A_LIST = 3
CLEARED = "names/"
_KINDS = {IdentifierKind.PERSON: NameKind.PERSON, IdentifierKind.LEGAL_ENTITY: NameKind.ORGANISATION}


@dataclass(frozen=True, slots=True)
class NameList:
    """One list to compare with: where its index is, and from which score on, 0 to 100, a match is worth a finding."""

    name: str
    directory: Path
    threshold: int


class NameScreener:
    """Compares the names of events with lists. Reads local files only.

    Args:
        lists: what to compare with.
        digester: makes the digests by which names appear in evidence.

    Raises:
        ConfigError: the index of a list was not built yet.
    """

    def __init__(self, lists: list[NameList], digester: Digester) -> None:
        self._lists = [(each, CurrentIndex(each.directory)) for each in lists]
        self._digester = digester

    def hits(self, event: Event) -> tuple[NameHit, ...]:
        """Return what the lists know of the event's names: the best few of each list."""
        return tuple(hit for name, kind in _names(event).items() for hit in self._hits(name, kind))

    def _hits(self, name: str, kind: IdentifierKind) -> Iterator[NameHit]:
        identifier = Identifier(kind=kind, value=name)
        digest = self._digester.digest(identifier)
        others = sorted(self._digester.all_of(identifier)[0] - {digest})
        for listed, current in self._lists:
            for found in current.get().search(name, _KINDS[kind], listed.threshold, HITS_A_LIST):
                yield _hit(listed.name, str(kind), digest, others, found)


def cleared_as(list_: str, entry: str, digest: str) -> str:
    """Name what a person clears: this entry, for this name. It is kept like a snooze, for one merchant and a while."""
    return f"{CLEARED}{list_}/{entry}#{digest}"


def list_of_clearance(clearance: str) -> str:
    """Return the list that a clearance is about.

    Raises:
        NotFound: it is no clearance.
    """
    list_, slash, rest = clearance.removeprefix(CLEARED).partition("/")
    if not clearance.startswith(CLEARED) or not slash or "#" not in rest:
        raise NotFound("that is no clearance; a finding of `name_match` gives one in its evidence")
    return list_


def _names(event: Event) -> Mapping[str, IdentifierKind]:
    named = {each.value: IdentifierKind(each.kind) for each in event.identifiers if each.kind in _KINDS and each.value}
    if event.merchant.name:
        named.setdefault(event.merchant.name, IdentifierKind.LEGAL_ENTITY)
    return dict(list(named.items())[:MAX_NAMES])


def _hit(list_: str, kind: str, digest: str, others: Sequence[str], found: Found) -> NameHit:
    return NameHit(
        kind=kind,
        digest=digest,
        list=list_,
        entry=found.entry.id,
        name=found.entry.name,
        by=found.by,
        score=found.score.value,
        why=found.score.explained(),
        reference=found.entry.reference,
        clearance=cleared_as(list_, found.entry.id, digest),
        earlier=tuple(cleared_as(list_, found.entry.id, other) for other in others),
    )
