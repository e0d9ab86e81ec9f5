"""Take in what a source says now: one batch in one transaction, with its checkpoint, or nothing at all."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from sqlalchemy import Connection, text

from paycordon.coalition.indicators import Changes
from paycordon.errors import ApprovalRequired, NotFound
from paycordon.record.log import append, digest_of
from paycordon.store import Store, newly, uses, withdrawals
from paycordon.store.counting import names_counting
from paycordon.store.formerly import said_formerly
from paycordon.store.indicator_rows import CHUNK, SAID, Row, chunks, note_batch, row_of, there, write
from paycordon.store.indicators import BY_SOURCE, Correction, changed, corrected, end_many, ended
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros
from paycordon.store.sums import Sum, move
from paycordon.store.withdrawals import Withdrawal

_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_Name = tuple[str, str]  # digest and reference
_PLACES = ", ".join(f":d{i}" for i in range(CHUNK))
_seen = Prepared(
    text(
        f"SELECT merchant FROM sightings WHERE digest IN ({_PLACES}) "  # noqa: S608
        f"UNION SELECT merchant FROM aliases WHERE digest IN ({_PLACES})"
    )
)
_used = Prepared(text(f"SELECT DISTINCT key FROM uses WHERE kind = 'indicator' AND key IN ({_PLACES})"))  # noqa: S608
_checkpoint = Prepared(text("SELECT checkpoint FROM indicator_sources WHERE source = :source"))
_note = Prepared(
    text(
        "INSERT INTO indicator_sources (source, checkpoint, position, changed_at) "
        "VALUES (:source, :checkpoint, :position, :now) ON CONFLICT (source) DO UPDATE SET "
        "checkpoint = COALESCE(excluded.checkpoint, indicator_sources.checkpoint), position = excluded.position, "
        "changed_at = excluded.changed_at"
    )
)
_wait = Prepared(
    text(
        "INSERT INTO indicator_waiting (digest, source, added, withdrawn, matches, asked_at) "
        "VALUES (:digest, :source, :added, :withdrawn, :matches, :now) ON CONFLICT (digest) DO NOTHING"
    )
)
_approve = Prepared(
    text(
        "UPDATE indicator_waiting SET approved_by = :by, reason = :reason, approved_at = :now "
        "WHERE digest = :digest AND approved_by IS NULL"
    )
)
_approved = Prepared(text("SELECT approved_by FROM indicator_waiting WHERE digest = :digest"))
_done = Prepared(text("DELETE FROM indicator_waiting WHERE digest = :digest"))
_waiting = Prepared(
    text(
        "SELECT digest, source, added, withdrawn, matches, asked_at, approved_by FROM indicator_waiting "
        "ORDER BY asked_at, digest"
    )
)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch came to.

    Attributes:
        added: how many did not count before.
        corrected: how many counted and are otherwise now, in whatever respect.
        withdrawn: how many count no more.
        unchanged: how many were repeated as they were.
        matches: how many merchants were seen with an identifier that counts, or counts for more, since then.
        position: the entry of the log that says so; none when nothing has changed.
        begun: the withdrawals of what decisions had used; a worker judges their holds again.
    """

    added: int
    corrected: int
    withdrawn: int
    unchanged: int
    matches: int
    position: int | None
    begun: tuple[Withdrawal, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A batch that waits for a person: named by the digest of its contents; times are UTC."""

    digest: str
    source: str
    added: int
    withdrawn: int
    matches: int
    asked_at: datetime
    approved_by: str | None


def apply_changes(
    store: Store,
    changes: Changes,
    now: datetime,
    *,
    most_matches: int | None = None,
    correction: Correction = BY_SOURCE,
    first: Callable[[Connection], object] | None = None,
) -> Applied:
    """Take in what a source says now. This is the one way in for feeds.

    All of it, with the checkpoint and one entry in the log (counts, a digest of the contents, and what the rows of the
    source add up to now), is one transaction: whatever fails, and wherever the process dies, either everything is there
    or nothing. Asking again with the same changes does nothing more, so that a feed that does not know whether it got
    through simply repeats itself.

    - What is said as before is left alone. What is new counts from the commit on: the next screening that begins sees
      it. What is otherwise replaces what was there. What was withdrawn and is said again counts again.
    - What is withdrawn matches nothing from the commit on. A name that is not there, or does not count, is passed over:
      sources repeat their deletions. Of a `complete` batch, whatever it does not say is withdrawn; if it is so of some
      parts only, whatever counts there, and such a batch costs what these parts hold.
    - Merchants that are known by what newly counts, or counts for more, are screened at once (`paycordon.rescreening`),
      without waiting for their next event; by what counts from some day on, on that day (`paycordon.store.newly`).
    - Where decisions had used what is withdrawn or corrected, a withdrawal begins in the same transaction; workers then
      judge their holds again (`paycordon.review.withdrawal`).
    - The batch is one word of its source: of two indicators of one name in it, the later counts; one that it both says
      and withdraws is withdrawn.

    Args:
        store: where it goes; this opens a transaction of its own.
        changes: all that the source has to say. Checked, normalised and keyed by the caller: nothing of it is plain.
        now: when it is taken in, UTC.
        most_matches: how many merchants that were seen already it may newly match, or match for more, before a person
            looks; none for any number. What an event derives (domain of an address, network of an IP) is not counted.
        correction: who changes it, and why; the source by default.
        first: is called first in the same transaction; what it raises ends it, and nothing is taken in. What it wrote
            stays when the batch then waits for a person.

    Raises:
        ApprovalRequired: it would match more merchants than it may. Nothing was taken in; that it waits is written
            down, and the same batch goes through once a person has agreed (`approve`). A batch that has changed since
            then is another one, and asks again.
        StoreUnavailable: the store cannot be used; nothing was taken in.
    """
    rows = [row_of(each) for each in changes.said]
    digest = _digest(changes, rows)
    with store.write() as connection:
        if first is not None:
            first(connection)
        applied = _apply(connection, changes, rows, digest, now, most_matches, correction)
    if not isinstance(applied, Applied):
        raise ApprovalRequired(
            f"the batch {digest[:12]} of `{changes.source}` would match {applied} merchants at once, and may match "
            f"{most_matches}; a person has to look: paycordon indicator waiting"
        )
    return applied


def contents_digest(changes: Changes) -> str:
    """Return the SHA-256 of a batch's contents; its checkpoint is not part of them."""
    return _digest(changes, [row_of(each) for each in changes.said])


def _digest(changes: Changes, said: Sequence[Row]) -> str:
    # Piece by piece what `json.dumps` with sorted keys makes of the whole, which may be hundreds of megabytes.
    parts = f',"parts":{_json([[each.start, each.end] for each in changes.parts])}' if changes.parts else ""
    made = hashlib.sha256(f'{{"complete":{_json(changes.complete)}{parts},"said":['.encode())
    for number, row in enumerate(said):
        made.update((("," if number else "") + _json(row)).encode())
    withdrawn = [[each.digest, each.reference] for each in changes.withdrawn]
    made.update(f'],"source":{_json(changes.source)},"withdrawn":{_json(withdrawn)}}}'.encode())
    return made.hexdigest()


def checkpoint_of(connection: Connection, source: str) -> str | None:
    """Return how far a source was read, in its feed's own words; none if it never was."""
    found: str | None = _checkpoint(connection, {"source": source}).scalar()
    return found


def waiting(connection: Connection) -> list[Waiting]:
    """Return the batches that wait for a person, or that a person has agreed to and that have not come again."""
    return [Waiting(d, s, a, w, m, from_micros(at), by) for d, s, a, w, m, at, by in _waiting(connection)]


def approve(connection: Connection, digest: str, by: str, reason: str, now: datetime) -> None:
    """Let a batch that waits through, the next time that its feed brings it.

    Raises:
        NotFound: no batch of that digest waits.
    """
    row = {"digest": digest, "by": by, "reason": reason, "now": micros(now)}
    if _approve(connection, row).rowcount != 1:
        raise NotFound(f"no batch `{digest}` waits; `paycordon indicator waiting` lists them")
    append(connection, now, "indicators.approved", {"batch": digest, "by": by, "reason_digest": digest_of(reason)})


def _apply(
    connection: Connection,
    changes: Changes,
    rows: Sequence[Row],
    digest: str,
    now: datetime,
    most_matches: int | None,
    correction: Correction,
) -> Applied | int:
    """Do it, or return how many merchants it would match."""
    source = changes.source
    said = said_formerly(connection, source, changes.said)
    said |= {(each.digest, each.reference): row for each, row in zip(changes.said, rows, strict=True)}
    gone = {(each.digest, each.reference) for each in changes.withdrawn}
    if changes.complete:
        gone |= set(names_counting(connection, source, changes.parts)) - said.keys()
    said = {name: row for name, row in said.items() if name not in gone}
    before = there(connection, source, (name[0] for name in (*said, *gone)))
    counted = {name for name, row in before.items() if row["withdrawn_at"] is None}
    gone &= counted
    other = {name: row for name, row in said.items() if name not in counted or _differs(before[name], row)}
    new = other.keys() - counted
    raised = {name for name in other.keys() & counted if newly.weighs_more(before[name], other[name], now)}
    matches = _matched(connection, {name[0] for name in new | raised})
    if most_matches is not None and matches > most_matches and not _is_approved(connection, digest):
        row: dict[str, str | int | list[str] | None] = {
            "digest": digest,
            "source": source,
            "added": len(new),
            "withdrawn": len(gone),
            "matches": matches,
        }
        if _wait(connection, {**row, "now": micros(now)}).rowcount == 1:
            append(connection, now, "indicators.waiting", {**row})
        return matches
    position = None
    begun: list[Withdrawal] = []
    if other or gone:
        change = Sum()
        for whole in write(connection, list(other.values()), now, correction.by):
            change.replace(before.get((str(whole["digest"]), str(whole["reference"]))), whole)
        for name in end_many(connection, source, sorted(gone), now, correction.by):
            change.replace(before[name], before[name] | ended(now, correction.by))
        counts = {"added": len(new), "corrected": len(other) - len(new), "withdrawn": len(gone)}
        position = _log(connection, changes, digest, {**counts, **move(connection, source, change)}, correction, now)
        note_batch(connection, position, source, (name[0] for name in new), now)
        pairs = ((before[name] if name in counted else None, row) for name, row in other.items())
        newly.note(connection, chain(pairs, ((before[name], None) for name in gone)), position, now)
        old = {(name[0], source, name[1]): row for name, row in before.items()}
        begun = corrected(connection, changed(list(other.values()), old), correction, now)
        begun += _withdrawn(connection, source, gone, correction, now)
        _done(connection, {"digest": digest})
    if position is not None or changes.checkpoint != checkpoint_of(connection, source):
        noted = {"source": source, "checkpoint": changes.checkpoint, "position": position or 0, "now": micros(now)}
        _note(connection, noted)
    return Applied(
        added=len(new),
        corrected=len(other) - len(new),
        withdrawn=len(gone),
        unchanged=len(said) - len(other),
        matches=matches,
        position=position,
        begun=tuple(begun),
    )


def _log(
    connection: Connection,
    changes: Changes,
    digest: str,
    said: Mapping[str, str | int],
    correction: Correction,
    now: datetime,
) -> int:
    payload: dict[str, str | int | list[str] | None] = {
        "source": changes.source,
        "digest": digest,
        **said,
        "checkpoint_digest": digest_of(changes.checkpoint or ""),
        "by": correction.by,
    }
    return append(connection, now, "indicators.changed", payload)


def _differs(before: Row, now: Row) -> bool:
    return any(before[name] != now[name] for name in SAID)


def _matched(connection: Connection, digests: Iterable[str]) -> int:
    """Count the merchants that were seen with any of these identifiers."""
    merchants: set[str] = set()
    for places in chunks(sorted(digests)):
        merchants.update(_seen(connection, places).scalars())
    return len(merchants)


def _is_approved(connection: Connection, digest: str) -> bool:
    return _approved(connection, {"digest": digest}).scalar() is not None


def _withdrawn(
    connection: Connection, source: str, names: Iterable[_Name], correction: Correction, now: datetime
) -> list[Withdrawal]:
    """Begin the withdrawal of each indicator that a decision had used."""
    keys = {uses.indicator_key(digest, source, reference) for digest, reference in names}
    begun = [
        withdrawals.begin(
            connection,
            uses.INDICATOR,
            key,
            withdrawals.Change.WITHDRAWN,
            by=correction.by,
            reason=correction.reason,
            now=now,
            randomness=secrets.token_bytes,
        )
        for key in _those_used(connection, sorted(keys))
    ]
    return [each for each in begun if each is not None]


def _those_used(connection: Connection, keys: Sequence[str]) -> list[str]:
    found: set[str] = set()
    for places in chunks(keys):
        found.update(_used(connection, places).scalars())
    return sorted(found)
