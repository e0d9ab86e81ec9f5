"""What a source says again after the identifier key was replaced goes on under the key that it was stored under.

A value is stored under the key that is current. When that is replaced, decisions and merchants are still known under
the former one, and only the value, which is not kept, tells that both digests are of the same. So whenever a source
says the value again, it says it of the former digests too, where anything knows them. Otherwise a rotation would look
as if every source had taken back all that it ever said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import Connection, text

from paycordon.coalition.indicators import Indicator
from paycordon.store.counting import counting_among
from paycordon.store.indicator_rows import CHUNK, Row, chunks, row_of
from paycordon.store.prepared import Prepared

_PLACES = ", ".join(f":d{i}" for i in range(CHUNK))
_seen = Prepared(text(f"SELECT DISTINCT digest FROM sightings WHERE digest IN ({_PLACES})"))  # noqa: S608


def said_formerly(connection: Connection, source: str, said: Iterable[Indicator]) -> dict[tuple[str, str], Row]:
    """Return, by digest and reference, what is said of former digests that count, or that merchants are known by.

    Args:
        connection: the transaction that takes in what is said.
        source: whose word it is.
        said: what it says now; `former` names the digests.
    """
    former = {(digest, each.reference): each for each in said for digest in each.former}
    if not former:
        return {}
    known = counting_among(connection, source, former)
    seen: set[str] = set()
    for places in chunks(sorted({digest for digest, _ in former})):
        seen.update(_seen(connection, places).scalars())
    kept = {name: each for name, each in former.items() if name in known or name[0] in seen}
    return {name: row_of(replace(each, digest=name[0], former=())) for name, each in kept.items()}


def counting_digests(
    connection: Connection, source: str, reference: str, digests: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Return under which digests an item of a source counts, in order: under former ones too, by current digest.

    What counts under none is returned as it is, so that whoever means it hears that it is not there.
    """
    names = {(each, reference) for current, former in digests.items() for each in (current, *former)}
    counting = {digest for digest, _ in counting_among(connection, source, names)}
    found = {current: [each for each in (current, *former) if each in counting] for current, former in digests.items()}
    return [each for current, there in found.items() for each in there or [current]]
