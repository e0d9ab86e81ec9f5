"""Which policy sets were in force, with their files and signatures; every one that ever was can be read again.

The set in force is one fact of the store, not of a process: whoever takes a set into force says after which one, and
nobody takes one after a set that is not in force any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePath
from typing import Any

from sqlalchemy import Connection, text

from paycordon.errors import Conflict, NotFound, PolicyError
from paycordon.policy.load import PolicyFiles, Stored, load_set, root_of
from paycordon.policy.model import PolicySet
from paycordon.record.log import Payload, append, digest_of
from paycordon.store.schema import from_micros, micros

KIND = "policy"
"""The kind of the log's entries for sets that came into force."""

_FORMAT = 1
_LOCK = 0x706F6C
_MIN_PREFIX = 4
_lock = text("SELECT pg_advisory_xact_lock(:lock)")
_newest = text("SELECT digest, taken_at, manifest FROM policy_sets ORDER BY taken_at DESC LIMIT 1")
_starting = text("SELECT digest, taken_at, manifest FROM policy_sets WHERE digest LIKE :prefix ORDER BY digest LIMIT 2")
_content = text("SELECT content FROM policy_files WHERE digest = :digest")
_keep_file = text(
    "INSERT INTO policy_files (digest, content) VALUES (:digest, :content) ON CONFLICT (digest) DO NOTHING"
)
_keep_set = text(
    "INSERT INTO policy_sets (digest, taken_at, manifest) VALUES (:digest, :taken_at, :manifest) "
    "ON CONFLICT (digest) DO UPDATE SET taken_at = excluded.taken_at, manifest = excluded.manifest"
)
_entries = text("SELECT seq, at, payload FROM log WHERE kind = 'policy' ORDER BY seq")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One file of a set.

    Attributes:
        part: `policies`, `bindings`, `rates`, or `file` for a list beside them.
        path: from the directory of the first policy, with `/`.
        digest: the SHA-256 of its bytes.
    """

    part: str
    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A set that is or was in force.

    Attributes:
        digest: that of the set.
        taken_at: when it last came into force, UTC.
        files: what it consists of.
        signatures: the texts of the signatures it had then.
    """

    digest: str
    taken_at: datetime
    files: tuple[KeptFile, ...]
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """One time that a set came into force, as the log says.

    Attributes:
        seq: the number of the log's entry.
        at: when, UTC.
        digest: that of the set.
        previous: what was in force before; none at the first time.
        signers: who had signed, such as `alice (author)`.
        changes: what was different, in brief.
    """

    seq: int
    at: datetime
    digest: str
    previous: str | None
    signers: tuple[str, ...]
    changes: tuple[str, ...]


def in_force(connection: Connection) -> Kept | None:
    """Return the set that is in force, if there ever was one."""
    row = connection.execute(_newest).one_or_none()
    return None if row is None else _kept(row)


def named(connection: Connection, prefix: str) -> Kept:
    """Return the set whose digest is, or begins with, `prefix`.

    Raises:
        NotFound: no such set was ever in force, or the prefix is shorter than four digits.
        Conflict: several begin so.
    """
    known = prefix.lower()
    if len(known) < _MIN_PREFIX or not set(known) <= set("0123456789abcdef"):
        raise NotFound(f"`{prefix}` is not the digest of a policy set; `paycordon policy history` lists them")
    rows = connection.execute(_starting, {"prefix": f"{known}%"}).all()
    if not rows:
        raise NotFound(f"no policy set `{prefix}` was ever in force; `paycordon policy history` lists them")
    if len(rows) > 1:
        raise Conflict(f"several policy sets begin with `{prefix}`; give more of the digest")
    return _kept(rows[0])


def contents(connection: Connection, kept: Kept) -> Mapping[str, bytes]:
    """Return the bytes of a set's files by their paths.

    Raises:
        NotFound: one is missing from the store.
    """
    return {file.path: _bytes(connection, file) for file in kept.files}


def load(connection: Connection, kept: Kept, root: Path, *, stored: Stored | None = None) -> PolicySet:
    """Load a set from what was kept, without looking at any file.

    Args:
        connection: where it was kept.
        kept: the set.
        root: the directory that its paths start from, for positions.
        stored: the lists in the store; without them they are empty.

    Raises:
        PolicyError: this version cannot read it any more.
        NotFound: a file is missing from the store.
    """
    found = contents(connection, kept)

    def read(path: Path) -> bytes:
        try:
            return found[path_from(path, root)]
        except KeyError:
            raise PolicyError(f"the set {kept.digest[:12]} has no file `{path.name}`") from None

    return load_set(files_of(kept, root), read=read, stored=stored or {})


def files_of(kept: Kept, root: Path) -> PolicyFiles:
    """Say where the files of a set belong below the directory of its first policy."""
    parts = {part: [root / file.path for file in kept.files if file.part == part] for part in _PARTS}
    bindings, rates = parts["bindings"], parts["rates"]
    return PolicyFiles(tuple(parts["policies"]), bindings[0] if bindings else None, rates[0] if rates else None)


_PARTS = ("policies", "bindings", "rates")


def path_from(path: Path, root: Path) -> str:
    """Name a file from the directory of the first policy, the same on every machine."""
    return PurePath(os.path.relpath(path, root)).as_posix()


def manifest_of(policies: PolicySet, files: PolicyFiles, signatures: Sequence[str]) -> str:
    """Write down what a set consists of and who signed it; the text that the log's entry names by its digest."""
    root = root_of(files)
    parts: dict[Path | None, str] = {files.bindings: "bindings", files.rates: "rates"}
    parts |= dict.fromkeys(files.policies, "policies")
    kept = [
        KeptFile(parts.get(source.path, "file"), path_from(source.path, root), source.ref.digest)
        for source in policies.sources
    ]
    content = {"format": _FORMAT, "files": [asdict(each) for each in kept], "signatures": list(signatures)}
    return json.dumps(content, separators=(",", ":"), sort_keys=True)


def take(
    connection: Connection,
    policies: PolicySet,
    manifest: str,
    *,
    previous: str | None,
    signers: Sequence[str],
    changes: Sequence[str],
    now: datetime,
) -> bool:
    """Record that a set comes into force, with all its files, in the log too; false if it is in force already.

    Args:
        connection: a transaction for writing.
        policies: the set.
        manifest: see `manifest_of`.
        previous: the digest of the set that was compared with; none for the first one.
        signers: who has signed, for people.
        changes: what is different, in brief.
        now: the time, UTC.

    Raises:
        Conflict: another set has come into force meanwhile; nothing may be kept of this transaction.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_lock, {"lock": _LOCK})
    newest = in_force(connection)
    if newest is not None and newest.digest == policies.digest:
        return False
    if (newest.digest if newest else None) != previous:
        raise Conflict("another policy set has come into force meanwhile")
    for source in policies.sources:
        connection.execute(_keep_file, {"digest": source.ref.digest, "content": source.content})
    # Later than the one before, whatever the clocks say: the newest is the one in force.
    at = max(now, newest.taken_at + timedelta(microseconds=1)) if newest else now
    row = {"digest": policies.digest, "taken_at": micros(at), "manifest": manifest}
    connection.execute(_keep_set, row)
    payload: Payload = {
        "digest": policies.digest,
        "previous": previous,
        "signers": list(signers),
        "changes": list(changes),
        "manifest_digest": digest_of(manifest),
    }
    append(connection, now, KIND, payload)
    return True


def history(connection: Connection) -> list[Taken]:
    """Return all times that a set came into force, oldest first. Reads the whole log."""
    return [_taken(row) for row in connection.execute(_entries).all()]


def _taken(row: Any) -> Taken:
    said: Mapping[str, Any] = json.loads(row.payload)
    return Taken(
        seq=row.seq,
        at=from_micros(row.at),
        digest=said["digest"],
        previous=said["previous"],
        signers=tuple(said["signers"]),
        changes=tuple(said["changes"]),
    )


def _kept(row: Any) -> Kept:
    content = json.loads(row.manifest)
    files = tuple(KeptFile(**each) for each in content["files"])
    return Kept(row.digest, from_micros(row.taken_at), files, tuple(content["signatures"]))


def _bytes(connection: Connection, file: KeptFile) -> bytes:
    found = connection.execute(_content, {"digest": file.digest}).scalar()
    if found is None:
        raise NotFound(f"the file `{file.path}` of a policy set is missing from the store")
    return bytes(found)
