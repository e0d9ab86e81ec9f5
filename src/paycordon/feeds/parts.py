"""How a bundle is divided: each part is a target of its own that holds a range of references, in their order.

A reader fetches only the parts whose digest or range is another one than it has taken in. Where the parts begin is said
in the signed metadata, and a part ends where the next one begins: there is no gap, nothing lies in two parts, and a
bundle may be divided otherwise at any time. Ranges rather than hashes of references, as most sources number what they
say: what is new then lies together, and is found in the store by an index.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from paycordon.coalition.indicators import Part
from paycordon.errors import FeedRefused

TARGET = "indicators.jsonl"
FORMAT = "paycordon-indicators-1"
"""The format of a bundle that is not divided: it has this one target."""

DIVIDED = "paycordon-indicators-2"
"""The format of each target of a bundle that is divided."""

PER_PART = 2_000
"""About how many items a part holds: ten million then take five thousand lines of metadata, and a change some 0.2 s."""

Line = tuple[str, str]  # reference, and the item as a line of JSON
L = TypeVar("L", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class Piece:
    """A target of a bundle: which part it holds, its name, its digest, and its length in bytes."""

    part: Part
    target: str
    digest: str
    length: int

    @property
    def identity(self) -> tuple[Part, str]:
        """What changes whenever anything of the part does."""
        return self.part, self.digest


def pieces_of(targets: Mapping[str, Any]) -> list[Piece]:
    """Return the parts of a bundle in order, from `targets` in its signed metadata.

    Raises:
        FeedRefused: it is no bundle of indicators, or not divided as one.
    """
    if len(targets) == 1 and TARGET in targets and _custom(targets[TARGET]) == {"format": FORMAT}:
        return [_piece(Part(), TARGET, targets[TARGET])]
    starts: dict[str, str] = {}
    for name, target in targets.items():
        custom = _custom(target)
        start = custom.get("from") if isinstance(custom, Mapping) and custom.get("format") == DIVIDED else None
        if not isinstance(start, str) or start in starts:
            raise FeedRefused(f"holds no `{TARGET}` of the format `{FORMAT}`, and no parts of it (`{DIVIDED}`)")
        starts[start] = name
    if "" not in starts:
        raise FeedRefused("its first part is missing")
    return [
        _piece(Part(start, end), starts[start], targets[starts[start]])
        for start, end in pairwise([*sorted(starts), None])
        if start is not None
    ]


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return parts in their order with neighbours made one; nothing for all references."""
    found: list[Part] = []
    for part in parts:
        if found and found[-1].end == part.start:
            found[-1] = Part(found[-1].start, part.end)
        else:
            found.append(part)
    return () if found == [Part()] else tuple(found)


def divided(lines: Sequence[L], starts: Sequence[str], per_part: int) -> list[tuple[str, Sequence[L]]]:
    """Divide lines that are sorted by their references, which stand first: where each part begins, and what it holds.

    Parts stay as they were (`starts`, sorted) unless they have become twice as large as they should be, or a neighbour
    has room for them: so a change changes few of them. What is said under one reference stays in one part.
    """
    places = [bisect_left(lines, start, key=_reference) for start in starts]
    grouped: list[tuple[str, Sequence[L]]] = []
    for start, (first, last) in zip(starts, pairwise([*places, len(lines)]), strict=True):
        if grouped and (first == last or len(grouped[-1][1]) + last - first <= per_part // 2):
            grouped[-1] = (grouped[-1][0], [*grouped[-1][1], *lines[first:last]])
        else:
            grouped.append((start, lines[first:last]))
    return [piece for start, held in grouped for piece in _split(start, held, per_part)]


def target_name(start: str) -> str:
    """Return the name of the target that holds the part that begins there."""
    return f"indicators-{hashlib.sha256(start.encode()).hexdigest()[:24]}.jsonl" if start else TARGET


def _reference(line: tuple[Any, ...]) -> str:
    return str(line[0])


def _split(start: str, lines: Sequence[L], per_part: int) -> list[tuple[str, Sequence[L]]]:
    if len(lines) <= 2 * per_part:
        return [(start, lines)]
    found: list[tuple[str, Sequence[L]]] = []
    first = 0
    while first < len(lines):
        last = first + per_part
        if len(lines) - last < per_part:
            last = len(lines)
        while last < len(lines) and lines[last][0] == lines[last - 1][0]:
            last += 1
        found.append((lines[first][0] if first else start, lines[first:last]))
        first = last
    return found


def _custom(target: Any) -> Any:
    return target.get("custom")


def _piece(part: Part, name: str, target: Any) -> Piece:
    return Piece(part, name, ":".join(sorted(target["hashes"].values())), target["length"])
