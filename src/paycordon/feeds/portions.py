"""What has changed of a document that is read whole: its entries are compared in portions, by ranges of references.

A document without signed parts has to be read and parsed at each change. But checking its items, normalising and keying
their values, and comparing them with the store is most of the work, and only what changed needs it. So the checkpoint
remembers a digest of each portion, and a look hands over the portions whose digest or range is another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from paycordon.coalition.indicators import Changes, Indicator, Part, Withdrawn
from paycordon.feeds.parts import PER_PART, divided, joined

Entry = tuple[str, Any, Any]
"""A reference, what the document says of it (anything that JSON has), and where."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(slots=True)
class Portion:
    """What a document says under a range of references.

    Attributes:
        part: the range.
        digest: of all that it says there.
        changed: whether it said something else, or was divided otherwise, when it was taken in.
        entries: what it says; empty unless it has changed.
        newest: how new that is, in seconds since 1970; none if nothing says so.
    """

    part: Part
    digest: str
    changed: bool
    entries: Sequence[Entry]
    newest: int | None = None


def portions_of(entries: list[Entry], before: Sequence[Sequence[Any]]) -> list[Portion]:
    """Divide what a document says as it was divided before (`kept`), as far as parts have kept their size.

    The entries are sorted by their references: in which order a document says them is all one.
    """
    entries.sort(key=_reference)
    known = {start: (digest, newest) for start, digest, newest in before}
    former = dict(pairwise([*sorted(known), None])) if known else {}
    held = divided(entries, sorted(known) or [""], PER_PART)
    found = []
    for (start, some), end in zip(held, [*[start for start, _ in held[1:]], None], strict=True):
        digest = hashlib.sha256(_encode([entry[:2] for entry in some]).encode()).hexdigest()
        if start in known and known[start][0] == digest and former[start] == end:
            found.append(Portion(Part(start, end), digest, False, (), known[start][1]))
        else:
            found.append(Portion(Part(start, end), digest, True, some))
    return found


def newest_of(portions: Sequence[Portion]) -> int | None:
    """Return how new a document is, in seconds since 1970; none if nothing in it says so."""
    return max((each.newest for each in portions if each.newest is not None), default=None)


def kept(portions: Sequence[Portion]) -> list[list[Any]]:
    """Return what a checkpoint has to remember."""
    return [[each.part.start, each.digest, each.newest] for each in portions]


def changes_of(
    source: str,
    portions: Sequence[Portion],
    said: Sequence[Indicator],
    checkpoint: str,
    *,
    withdrawn: Sequence[Withdrawn] = (),
    complete: bool = True,
) -> Changes:
    """Return what has changed as a batch: all that is said there; nothing but the checkpoint if nothing has.

    Args:
        source: whose word it is.
        portions: of its document.
        said: what those say that have changed.
        checkpoint: for the next look.
        withdrawn: what those take back that have changed.
        complete: whether what they do not say is taken back too.
    """
    changed = [each.part for each in portions if each.changed]
    if not changed:
        return Changes(source, checkpoint=checkpoint)
    parts = joined(changed) if complete else ()
    return Changes(source, said, withdrawn, complete=complete, parts=parts, checkpoint=checkpoint)


def _reference(entry: Entry) -> str:
    return entry[0]
