"""Erase what was recorded, and leave the log able to prove that nothing else was done.

Of an event or a decision the text goes, and every column that the log does not know as well; its id, its merchant's id
and the digest in the log stay. The digest covers a random salt that is erased with the text, so that nobody can try out
what the text may have been. A hold keeps whose it was and when it was released. The transaction's log entry names
everything erased in it, with one digest over all their digests: `record.erasecheck` accepts exactly that.

What an authority's instruction obliges to keep is put into `withheld` by the same statements that run for everybody, so
that neither output nor timing says whether there is such an instruction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, String, bindparam, text

from paycordon.aggregates.facts import Facts, facts_of
from paycordon.events import Event
from paycordon.record.apart import forget
from paycordon.record.log import append, digest_of, salted_digest
from paycordon.store.facts import HOUR, rows_of
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

EVENT, DECISION, HOLD = "event", "decision", "hold"
SALTS = "salts"
"""The kind of a withheld salt: its id is the digest in the log, its body the id of the record that had the words."""

# 31 U.S.C. 5333 and the guidance of 2007: documents about a keep-open request are kept for five years after its end.
AFTER_A_DIRECTIVE = timedelta(days=5 * 366)

# What stands against erasing anything of a merchant; what only the role `restricted` sees does not show here.
STANDING: Mapping[str, str] = {
    "a hold in force": "SELECT 1 FROM holds s WHERE s.merchant = {merchant} AND s.released_at IS NULL",
    "an open case": "SELECT 1 FROM cases s WHERE s.merchant = {merchant} AND s.closed_at IS NULL AND s.restricted = 0",
    "a running clock": "SELECT 1 FROM clocks s WHERE s.merchant = {merchant} AND s.ended_at IS NULL "
    "AND s.restricted = 0",
    "an act that is not done": "SELECT 1 FROM acts s WHERE s.merchant = {merchant} AND s.state <> 'done'",
    "a word to others that is under way": "SELECT 1 FROM contributions s WHERE s.merchant = {merchant} "
    "AND s.state IN ('draft', 'waiting', 'stuck', 'retracting')",
    "an open proposal": "SELECT 1 FROM proposals s WHERE s.merchant = {merchant} AND s.state = 'open' "
    "AND s.restricted = 0 AND s.lapses_at > :now",
}
_OBLIGED = (
    "(EXISTS (SELECT 1 FROM directives o WHERE o.merchant = {merchant} AND (o.ended_at IS NULL OR o.ended_at > :kept)) "
    "OR EXISTS (SELECT 1 FROM covert o WHERE o.merchant = {merchant} "
    "AND (o.settled_at IS NULL OR o.settled_at > :kept)) "
    "OR EXISTS (SELECT 1 FROM cases o WHERE o.merchant = {merchant} AND o.restricted = 1 AND o.closed_at IS NULL) "
    "OR EXISTS (SELECT 1 FROM referral_merchants n JOIN referrals o ON o.id = n.referral_id "
    "WHERE n.merchant = {merchant} AND (o.ended_at IS NULL OR o.kept_from > :kept)))"
)


@dataclass(frozen=True, slots=True)
class Erasing:
    """Who erases, on what basis, and when."""

    by: str
    basis: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Erased:
    """How many records were erased."""

    events: int = 0
    decisions: int = 0
    holds: int = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(self.events + other.events, self.decisions + other.decisions, self.holds + other.holds)

    @property
    def total(self) -> int:
        """All of them together."""
        return self.events + self.decisions + self.holds


_lock = text("SELECT merchant FROM merchants WHERE merchant IN :merchants ORDER BY merchant FOR UPDATE").bindparams(
    bindparam("merchants", expanding=True)
)
_events = text(
    "SELECT position, merchant, body, salt FROM events WHERE position IN :ids AND body <> '' ORDER BY position"
).bindparams(bindparam("ids", expanding=True))
_decisions = text(
    "SELECT id, merchant, body, salt FROM decisions WHERE id IN :ids AND body <> '' ORDER BY id"
).bindparams(bindparam("ids", expanding=True))
HOLD_COLUMNS = (
    *("id", "decision_id", "merchant", "instance", "outcome", "created_at", "released_at", "released_by"),
    *("source", "scope"),
)
_holds = text(
    "SELECT * FROM holds WHERE (decision_id IN :decisions OR id IN :ids) AND released_at IS NOT NULL "
    "AND id NOT IN (SELECT id FROM erasures WHERE kind = 'hold') ORDER BY id"
).bindparams(bindparam("decisions", type_=String, expanding=True), bindparam("ids", type_=String, expanding=True))
_blank_event = Prepared(
    text(
        "UPDATE events SET seen = 0, type = '', account = '', occurred_at = 0, recorded_at = 0, body = '', salt = NULL "
        "WHERE position = :id"
    )
)
_blank_decision = Prepared(
    text(
        "UPDATE decisions SET decided_at = 0, body = '', event_type = '', shadow_outcome = NULL, salt = NULL "
        "WHERE id = :id"
    )
)
_blank_hold = Prepared(
    text(
        "UPDATE holds SET account = '', subject_kind = '', subject_id = '', rule = '', merchant_reason = '', "
        "release_reason = NULL, amount = NULL, currency = NULL, internal_reason = NULL WHERE id = :id"
    )
)
_no_uses = Prepared(text("DELETE FROM uses WHERE kind = :kind AND key = :key AND decision_id = :decision_id"))
_erasure = Prepared(
    text(
        "INSERT INTO erasures (kind, id, digest, erased_at, erased_by, basis) "
        "VALUES (:kind, :id, :digest, :at, :by, :basis)"
    )
)
_withhold = Prepared(
    text(
        "INSERT INTO withheld (kind, id, merchant, salt, body, at) "
        "SELECT CAST(:kind AS VARCHAR), CAST(:id AS VARCHAR), CAST(:merchant AS VARCHAR), CAST(:salt AS VARCHAR), "
        "CAST(:body AS TEXT), CAST(:at AS BIGINT) "
        f"WHERE {_OBLIGED.format(merchant=':merchant')} ON CONFLICT (kind, id) DO NOTHING"
    )
)
_salts_of = Prepared(text("SELECT digest, salt FROM salts WHERE subject = :subject ORDER BY digest"))
_fact = Prepared(
    text("DELETE FROM facts WHERE key = :key AND type = :type AND occurred_at = :occurred_at AND position = :position")
)
_no_hour = Prepared(text("DELETE FROM hours WHERE merchant = :merchant AND type = :type AND hour = :hour"))
_hour = Prepared(
    text(
        "INSERT INTO hours (merchant, type, hour, account, currency, events, low, high, smallest, largest) "
        "SELECT merchant, type, CAST(:hour AS BIGINT), account, COALESCE(currency, ''), COUNT(*), "
        "COALESCE(SUM(amount & 4294967295), 0), COALESCE(SUM(amount >> 32), 0), MIN(amount), MAX(amount) FROM facts "
        "WHERE key = :key AND type = :type AND occurred_at >= :since AND occurred_at < :until "
        "GROUP BY merchant, type, account, COALESCE(currency, '')"
    )
)


def standing(connection: Connection, merchant: str, now: datetime) -> list[str]:
    """Name what stands against erasing a merchant's data, for everybody to see; empty if nothing does."""
    where = {"merchant": merchant, "now": micros(now)}
    return [
        name
        for name, query in STANDING.items()
        if connection.execute(text(f"{query.format(merchant=':merchant')} LIMIT 1"), where).first()
    ]


def nothing_stands(merchant: str) -> str:
    """The condition, in SQL, that nothing stands against erasing the data of the merchant in a column, at `:now`."""
    return " AND ".join(f"NOT EXISTS ({query.format(merchant=merchant)})" for query in STANDING.values())


def erase(
    connection: Connection,
    erasing: Erasing,
    *,
    events: Sequence[int] = (),
    decisions: Sequence[str] = (),
    by_hand: Sequence[str] = (),
) -> Erased:
    """Erase events, by their positions, decisions with their released holds, and released holds placed by hand.

    What was erased before stays so. Nothing may stand against it. Keep the lists short: they are one transaction.
    """
    _prepare(connection)
    event_rows, decision_rows = _read(connection, events, decisions)
    wanted = {"decisions": [row.id for row in decision_rows], "ids": list(by_hand)}
    hold_rows = connection.execute(_holds, wanted).all() if decision_rows or by_hand else []
    _withhold_all(connection, erasing, event_rows, decision_rows, hold_rows)
    done: list[tuple[str, str, str]] = []
    _erase_facts(connection, [(row.position, facts) for row in event_rows if (facts := _facts(row)) is not None])
    for row in event_rows:
        done.append((EVENT, str(row.position), salted_digest(row.salt, row.body)))
        _blank_event(connection, {"id": row.position})
    for row in decision_rows:
        done.append((DECISION, row.id, salted_digest(row.salt, row.body)))
        _no_uses.many(connection, _uses_of(row))
        _blank_decision(connection, {"id": row.id})
    for row in hold_rows:
        done.append((HOLD, row.id, hold_digest(row._asdict())))
        _blank_hold(connection, {"id": row.id})
    forget_written(connection, erasing.now, {row.id: row.merchant for row in hold_rows})
    if done:
        _note(connection, erasing, done)
    return Erased(len(event_rows), len(decision_rows), len(hold_rows))


def _read(
    connection: Connection, events: Sequence[int], decisions: Sequence[str]
) -> tuple[Sequence[Any], Sequence[Any]]:
    found = connection.execute(_events, {"ids": list(events)}).all() if events else []
    judged = connection.execute(_decisions, {"ids": list(decisions)}).all() if decisions else []
    merchants = sorted({row.merchant for row in (*found, *judged)})
    if merchants and connection.dialect.name == "postgresql":
        # Events that are being recorded count themselves in the hours that are summed anew here.
        connection.execute(_lock, {"merchants": merchants})
    return found, judged


def _prepare(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")  # else the text stays in the file until overwritten


def hold_digest(row: Mapping[str, Any]) -> str:
    """Digest what stays of an erased hold."""
    return digest_of(json.dumps([row[name] for name in HOLD_COLUMNS], separators=(",", ":")))


def batch_digest(done: Iterable[tuple[str, str, str]]) -> str:
    """Digest the kinds, ids and digests of all that one log entry says was erased."""
    return digest_of(json.dumps(sorted(done), separators=(",", ":")))


def _note(connection: Connection, erasing: Erasing, done: Sequence[tuple[str, str, str]]) -> None:
    said = {"at": micros(erasing.now), "by": erasing.by, "basis": erasing.basis}
    _erasure.many(connection, [{"kind": kind, "id": id_, "digest": digest, **said} for kind, id_, digest in done])
    named = {f"{kind}s": [id_ for each, id_, _ in done if each == kind] for kind in (EVENT, DECISION, HOLD)}
    payload: dict[str, str | int | list[str] | None] = {
        "by": erasing.by,
        "basis_digest": digest_of(erasing.basis),
        "digest": batch_digest(done),
        **{name: ids for name, ids in named.items() if ids},
    }
    append(connection, erasing.now, "erased", payload)


def _withhold_all(
    connection: Connection, erasing: Erasing, events: Sequence[Any], decisions: Sequence[Any], holds: Sequence[Any]
) -> None:
    rows = [(EVENT, str(row.position), row.merchant, row.salt, row.body) for row in events]
    rows += [(DECISION, row.id, row.merchant, row.salt, row.body) for row in decisions]
    rows += [(HOLD, row.id, row.merchant, None, json.dumps(row._asdict())) for row in holds]
    withhold(connection, erasing.now, rows)


def withhold(connection: Connection, now: datetime, rows: Iterable[tuple[str, str, str, str | None, str]]) -> None:
    """Keep texts that are about to be erased, each with kind, id, merchant and salt, where that is an obligation."""
    moments = {"at": micros(now), "kept": micros(now - AFTER_A_DIRECTIVE)}
    _withhold.many(
        connection,
        [
            {"kind": kind, "id": id_, "merchant": merchant, "salt": salt, "body": body, **moments}
            for kind, id_, merchant, salt, body in rows
        ],
    )


def forget_written(connection: Connection, now: datetime, merchants: Mapping[str, str]) -> None:
    """Erase the salts of what people wrote in records; these are given by id, with the merchant of each.

    Where an obligation keeps the texts it keeps their salts: without, nobody could show that the log names them.
    """
    rows = [
        (SALTS, digest, merchant, salt, id_)
        for id_, merchant in merchants.items()
        for digest, salt in _salts_of(connection, {"subject": id_}).all()
    ]
    withhold(connection, now, rows)
    forget(connection, *merchants)


def cases_named(connection: Connection, condition: str, where: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the ids of cases that are about to be deleted, as the log names them: else they would be missing.

    `condition` is a text of this package, and its values are in `where`.
    """
    query = text(f"SELECT id FROM cases WHERE {condition} ORDER BY id")  # noqa: S608
    return {"cases": [str(each) for each in connection.execute(query, dict(where)).scalars()]}


def let_go(connection: Connection, now: datetime) -> int:
    """Erase what was kept for an obligation that has ended; returns how much that was."""
    gone = connection.execute(
        text(f"DELETE FROM withheld WHERE NOT {_OBLIGED.format(merchant='withheld.merchant')}"),  # noqa: S608
        {"kept": micros(now - AFTER_A_DIRECTIVE)},
    )
    return gone.rowcount


def withheld(connection: Connection, merchant: str) -> list[Mapping[str, Any]]:
    """Return what is kept of a merchant although it was erased for everybody else; for the role `restricted` only."""
    query = text("SELECT kind, id, body, at FROM withheld WHERE merchant = :merchant ORDER BY kind, id")
    return [dict(row) for row in connection.execute(query, {"merchant": merchant}).mappings()]


def _facts(row: Any) -> Facts | None:
    try:
        return facts_of(Event.model_validate_json(row.body), row.merchant)
    except ValidationError:  # somebody has changed it; its rows stay, and verifying the log names them
        return None


def _erase_facts(connection: Connection, of: Sequence[tuple[int, Facts]]) -> None:
    """Erase what aggregates read of events, and sum their hours anew from what is left."""
    hours = set()
    for position, facts in of:
        _fact.many(connection, rows_of(facts, position))
        hours.add((facts.merchant, facts.type, facts.occurred_at // HOUR))
    for merchant, type_, hour in sorted(hours):
        where = {"merchant": merchant, "type": type_, "hour": hour}
        _no_hour(connection, where)
        span = {"key": f"merchant:{merchant}", "since": hour * HOUR, "until": (hour + 1) * HOUR}
        _hour(connection, {**where, **span})


def _uses_of(row: Any) -> list[dict[str, str]]:
    from paycordon.decisions import Decision
    from paycordon.store.uses import of_decision

    try:
        decision = Decision.model_validate_json(row.body)
    except ValidationError:
        return []
    return [{"kind": kind, "key": key, "decision_id": row.id} for kind, key in of_decision(decision)]
