"""Compare the records that only the role `restricted` sees with the log of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text

from paycordon.record import referralcheck, restricted
from paycordon.record.log import digest_of

_said = text("SELECT payload FROM restricted_log WHERE kind = 'covert.decision' ORDER BY seq")
_covert = text("SELECT decision_id, body, directive_id FROM covert WHERE noted = 1 ORDER BY decision_id")
_placed = text("SELECT payload FROM restricted_log WHERE kind = 'directive.placed'")
_directives = text("SELECT id FROM directives")


def verify(connection: Connection, key: Ed25519PrivateKey | None) -> tuple[int, Sequence[str]]:
    """Verify the restricted log and what it speaks of.

    Args:
        connection: a transaction.
        key: the key that signs checkpoints; without it their commitments are not checked.

    Returns:
        How many entries there are, and what is wrong.
    """
    entries, problems = restricted.verify(connection, key)
    if problems:
        return entries, problems  # what a broken log says of records says nothing
    of_records = (*_doubts_of_decisions(connection), *_doubts_of_directives(connection))
    return entries, [*problems, *of_records, *referralcheck.doubts(connection)]


def _doubts_of_decisions(connection: Connection) -> Iterator[str]:
    said = {entry["decision"]: entry for entry in map(json.loads, connection.execute(_said).scalars())}
    for row in connection.execute(_covert):
        entry = said.pop(row.decision_id, None)
        if entry is None:
            yield f"real decision `{row.decision_id}`: no entry of the restricted log names it"
        elif (entry["digest"], entry["directive"]) != (digest_of(row.body), row.directive_id):
            yield f"real decision `{row.decision_id}`: is not what the restricted log says"
    for decision in said:
        yield f"real decision `{decision}`: is missing, the restricted log names it"


def _doubts_of_directives(connection: Connection) -> Iterator[str]:
    placed = {json.loads(payload)["directive"] for payload in connection.execute(_placed).scalars()}
    stored = set(connection.execute(_directives).scalars())
    for directive in sorted(placed ^ stored):
        what = "is missing, the restricted log names it" if directive in placed else "no entry names it"
        yield f"directive `{directive}`: {what}"
