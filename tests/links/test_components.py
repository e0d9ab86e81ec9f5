from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from paycordon.links.components import components

EDGES = st.sets(st.tuples(st.sampled_from("1234567"), st.sampled_from("abcdefgh")))


def by_hand(edges: set[tuple[str, str]], most: int) -> list[int]:
    """Sizes of all components of at least two, by flooding."""
    holders = defaultdict(set)
    for digest, merchant in edges:
        holders[digest].add(merchant)
    next_to = defaultdict(set)
    for merchants in holders.values():
        if 1 < len(merchants) <= most:
            for merchant in merchants:
                next_to[merchant] |= merchants
    sizes, left = [], set(next_to)
    while left:
        group, edge = set(), {left.pop()}
        while edge:
            group |= edge
            edge = set().union(*(next_to[each] for each in edge)) - group
        left -= group
        sizes.append(len(group))
    return sorted(sizes)


@given(EDGES, st.integers(2, 8))
def test_components_are_those_that_flooding_finds(edges: set[tuple[str, str]], most: int) -> None:
    found = components(sorted(edges), frozenset(), most_shared=most, largest=100)
    assert sorted(size for size, count in found.sizes.items() for _ in range(count)) == by_hand(edges, most)
    assert sorted(each.merchants for each in found.largest) == by_hand(edges, most)


def test_hubs_and_common_identifiers_join_nobody() -> None:
    seen = [("1", f"m{n}") for n in range(5)] + [("2", "m0"), ("2", "m1"), ("3", "m0"), ("3", "m9")]
    found = components(seen, {"m9"}, most_shared=4, common={"2"})
    assert (found.count, found.merchants, found.hubs, found.shared) == (1, 2, 2, 1)
    assert found.largest[0].some == ("m9", "m0")
    assert components([], frozenset(), most_shared=4).count == 0
