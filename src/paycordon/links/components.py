"""Which merchants hang together over shared identifiers, for all merchants at once: union-find over a stream.

What is kept grows with the merchants that share something, not with what they were seen with: a number and a name each,
about 200 bytes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter


@dataclass(frozen=True, slots=True)
class Component:
    """Merchants that hang together.

    Attributes:
        merchants: how many.
        stopped: how many of them are held or blocked.
        some: the names of some: first of those that are held or blocked.
    """

    merchants: int
    stopped: int
    some: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Components:
    """All components of at least two merchants.

    Attributes:
        sizes: how many components there are of each size.
        shared: over how many identifiers they hang together.
        hubs: how many identifiers were left out, because too many share them.
        largest: some of them: those with held or blocked merchants first, then by size.
    """

    sizes: dict[int, int]
    shared: int
    hubs: int
    largest: tuple[Component, ...]

    @property
    def count(self) -> int:
        """How many components there are."""
        return sum(self.sizes.values())

    @property
    def merchants(self) -> int:
        """How many merchants hang together with another."""
        return sum(size * count for size, count in self.sizes.items())


class Union:
    """Joins merchants, and finds out which are joined; every name gets a number, and every number its root."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._parents = array("L")

    def number(self, name: str) -> int:
        """The number of a name; a new one for a name that was not met before."""
        found = self._numbers.setdefault(name, len(self._parents))
        if found == len(self._parents):
            self._parents.append(found)
        return found

    def root(self, number: int) -> int:
        """The number that stands for all that are joined with this one; halves the way for the next search."""
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Join two; the later number is put under the earlier."""
        first, second = self.root(one), self.root(other)
        if first != second:
            self._parents[max(first, second)] = min(first, second)

    def rooted(self) -> Iterator[tuple[str, int]]:
        """Each name and its root."""
        return ((name, self.root(number)) for name, number in self._numbers.items())


def components(
    sightings: Iterable[tuple[str, str]],
    stopped: Set[str],
    *,
    most_shared: int,
    common: Set[str] = frozenset(),
    largest: int = 20,
    some: int = 5,
) -> Components:
    """Find the components of a stream of digests and merchants.

    Args:
        sightings: digest and merchant, in the order of the digests.
        stopped: the merchants that are held or blocked.
        most_shared: identifiers that more merchants have are left out.
        common: digests that are left out as well.
        largest: so many components are described.
        some: so many merchants of each are named.
    """
    union = Union()
    shared = hubs = 0
    for digest, rows in groupby(sightings, key=itemgetter(0)):
        merchants = [merchant for _, merchant in islice(rows, most_shared + 1)]
        if len(merchants) > most_shared or (digest in common and len(merchants) > 1):
            hubs += 1
        elif len(merchants) > 1:
            shared += 1
            first, *others = map(union.number, merchants)
            for other in others:
                union.join(first, other)
    members = Counter(root for _, root in union.rooted())
    bad = Counter(root for name, root in union.rooted() if name in stopped)
    wanted = sorted(members, key=lambda root: (-bad[root], -members[root], root))[:largest]
    named = _named(union, set(wanted), stopped, some)
    described = tuple(Component(members[root], bad[root], tuple(named[root])) for root in wanted)
    return Components(dict(sorted(Counter(members.values()).items())), shared, hubs, described)


def _named(union: Union, roots: Set[int], stopped: Set[str], some: int) -> dict[int, list[str]]:
    bad: dict[int, list[str]] = {root: [] for root in roots}
    fine: dict[int, list[str]] = {root: [] for root in roots}
    for name, root in union.rooted():
        if root in roots:
            group = bad if name in stopped else fine
            if len(group[root]) < some:
                group[root].append(name)
    return {root: [*bad[root], *fine[root]][:some] for root in roots}
