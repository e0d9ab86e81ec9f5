"""Compare the policy sets that were in force, and their files, with what the log says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from paycordon.record.log import digest_of
from paycordon.record.problems import Problems
from paycordon.store import schema

_KIND = "policy"


class PolicyCheck:
    """Compares policy sets with the log's entries: hand it all entries by `take`, then call `end`."""

    def __init__(self, connection: Connection, problems: Problems) -> None:
        self._connection = connection
        self._problems = problems
        self._said: dict[str, tuple[int, str]] = {}
        self._newest: str | None = None

    def take(self, entries: Sequence[Any]) -> None:
        """Note what these entries say of policy sets; of several about one set the last counts."""
        for row in entries:
            content = _mapping(row.payload) if row.kind == _KIND else {}
            digest, manifest = content.get("digest"), content.get("manifest_digest")
            if isinstance(digest, str) and isinstance(manifest, str):
                self._said[digest] = (row.seq, manifest)
                self._newest = digest

    def end(self) -> None:
        """Find sets and files that are missing, changed, or named by no entry."""
        table = schema.policy_sets
        rows = {row.digest: row for row in self._connection.execute(select(table).order_by(table.c.taken_at)).all()}
        for digest, (seq, manifest) in self._said.items():
            row = rows.get(digest)
            if row is None:
                self._add("missing", digest, f"is missing, entry {seq} names it", seq)
            elif not isinstance(row.manifest, str) or digest_of(row.manifest) != manifest:
                self._add("changed", digest, f"is not what entry {seq} recorded", seq)
            else:
                self._check_files(digest, row.manifest, seq)
        for digest in rows.keys() - self._said.keys():
            self._add("unnamed", digest, "no entry of the log names it")
        newest = next(reversed(rows), None)
        if newest is not None and newest in self._said and newest != self._newest:
            self._add("changed", newest, "is in force, but the log says that another is")

    def _check_files(self, digest: str, manifest: str, seq: int) -> None:
        table = schema.policy_files
        for name in _files(manifest):
            content = self._connection.execute(select(table.c.content).where(table.c.digest == name)).scalar()
            if content is None:
                self._add("missing", digest, f"a file of it is missing, entry {seq} names it", seq)
            elif not isinstance(content, bytes | memoryview) or hashlib.sha256(content).hexdigest() != name:
                self._add("changed", digest, f"a file of it is not what entry {seq} recorded", seq)

    def _add(self, what: str, digest: str, sentence: str, entry: int | None = None) -> None:
        self._problems.add(what, f"policy set {digest}: {sentence}", entry=entry, record=digest)


def _files(manifest: str) -> Iterator[str]:
    files = _mapping(manifest).get("files")
    for each in files if isinstance(files, list) else ():
        if isinstance(each, dict) and isinstance(each.get("digest"), str):
            yield each["digest"]


def _mapping(text: object) -> Mapping[str, Any]:
    try:
        content = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
