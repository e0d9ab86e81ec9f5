"""Compare the records with what the log says of them.

What the log names is kept in a temporary database on disk, so that records which no entry names are found without
holding the names of all others in memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError
from sqlalchemy import Connection, select, tuple_

from paycordon.aggregates.facts import Facts, facts_of
from paycordon.decisions import Decision, Scope
from paycordon.events import Event
from paycordon.record.apart import is_of
from paycordon.record.casecheck import CaseCheck
from paycordon.record.erasecheck import EraseCheck
from paycordon.record.exchangecheck import ExchangeCheck
from paycordon.record.factcheck import FactCheck
from paycordon.record.inquirycheck import InquiryCheck
from paycordon.record.linkcheck import check_links
from paycordon.record.log import SALT_LENGTH, digest_of, salted_digest
from paycordon.record.problems import Problems
from paycordon.record.reviewcheck import ReviewCheck
from paycordon.store import schema
from paycordon.store.schema import micros

_PAGE = 200

Said = Mapping[str, Any]


class CrossCheck:
    """Compares events, decisions, holds and baselines with the log's entries; use as a context manager.

    Hand it all entries by `take`, then call `end` for the records that no entry names.
    """

    def __init__(self, connection: Connection, problems: Problems) -> None:
        self._connection = connection
        self._problems = problems
        self._facts = FactCheck(connection)
        self._all_sound = True
        self._named = sqlite3.connect("")  # a temporary file that the database deletes by itself
        self._named.execute("CREATE TABLE named (kind TEXT, a TEXT, b TEXT, PRIMARY KEY (kind, a, b)) WITHOUT ROWID")
        self._named.execute(
            "CREATE TABLE baselines (instance TEXT, account TEXT, digest TEXT, PRIMARY KEY (instance, account))"
        )
        self._erased = EraseCheck(connection, problems, self._named)
        self._review = ReviewCheck(connection, problems, self._named)
        self._cases = CaseCheck(connection, problems, self._named)
        self._exchange = ExchangeCheck(connection, problems, self._named)
        self._inquiries = InquiryCheck(connection, problems, self._named)
        self._named.execute("CREATE TABLE released (hold TEXT PRIMARY KEY, by TEXT, reason_digest TEXT) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._named.close()

    def take(self, entries: Sequence[Any]) -> None:
        """Compare the records that these entries name."""
        said = [(row.seq, content) for row in entries if (content := _content(row.payload)) is not None]
        for row in entries:
            if row.kind == "restriction.baseline":
                self._note_baseline(_content(row.payload) or {})
            self._cases.take(row.kind, row.at, _content(row.payload) or {})
            self._exchange.take(row.kind, _content(row.payload) or {})
            self._inquiries.take(row.kind, _content(row.payload) or {})
            if placed := self._review.take(row.kind, _content(row.payload) or {}):
                self._name([("hold", placed, "")])
        for start in range(0, len(said), _PAGE):
            part = said[start : start + _PAGE]
            self._take_events(part)
            self._take_decisions(part)
        for _, content in said:
            self._note_holds(content)

    def end(self) -> None:
        """Find records that no entry names, and holds that are not as their decision or release says."""
        table = schema.events
        for row in self._all(table, (table.c.instance, table.c.id), (table.c.instance, table.c.id)):
            if not self._is_named("event", row.instance, row.id):
                self._add("unnamed", "event", row.id, "no entry of the log names it")
        table = schema.decisions
        for row in self._all(table, (table.c.id,), (table.c.id,)):
            if not self._is_named("decision", row.id):
                self._add("unnamed", "decision", row.id, "no entry of the log names it")
        self._check_holds()
        self._check_baselines()
        check_links(self._connection, self._problems)
        self._erased.end()
        self._review.end()
        self._cases.end()
        self._exchange.end()
        self._inquiries.end()
        if self._all_sound and self._facts.has_unexplained():  # else the events named already explain them
            self._add("unnamed", "table", "facts", "has rows that come from no event of the log")
        if self._facts.has_wrong_sums():
            self._add("changed", "table", "hours", "its sums are not those of the facts")

    def _take_events(self, said: Sequence[tuple[int, Said]]) -> None:
        named = {(c["instance"], c["event"]): (seq, c) for seq, c in said if _texts(c, "instance", "event")}
        table = schema.events
        keys = tuple_(table.c.instance, table.c.id)
        found = {
            (row.instance, row.id): row
            for row in self._connection.execute(select(table).where(keys.in_(list(named)))).all()
        }
        sound: dict[int, tuple[str, Facts]] = {}
        gone = 0
        for key, (seq, content) in named.items():
            row = found.get(key)
            if row is None:
                self._add("missing", "event", key[1], f"is missing, entry {seq} names it", seq)
            elif row.body == "" or self._erased.says("event", str(seq)):
                gone += self._is_soundly_erased("event", key[1], str(seq), row, content, seq)
            elif _salted(row) != content.get("event_digest"):
                self._add("changed", "event", key[1], f"is not what entry {seq} recorded", seq)
            elif (facts := _facts(row, content, seq)) is None:
                self._add("changed", "event", key[1], "its columns are not what its text says", seq)
            else:
                sound[seq] = key[1], facts
        self._all_sound &= len(sound) + gone == len(named)
        for seq in sorted(self._facts.differing([(seq, facts) for seq, (_, facts) in sound.items()])):
            self._add("changed", "event", sound[seq][0], "what aggregates read is not what its text says", seq)
        self._name(("event", *key) for key in named)

    def _take_decisions(self, said: Sequence[tuple[int, Said]]) -> None:
        named = {c["decision"]: (seq, c) for seq, c in said if _texts(c, "decision")}
        table = schema.decisions
        rows = self._connection.execute(select(table).where(table.c.id.in_(list(named)))).all()
        found = {row.id: row for row in rows}
        for key, (seq, content) in named.items():
            row = found.get(key)
            if row is None:
                self._add("missing", "decision", key, f"is missing, entry {seq} names it", seq)
            elif row.body == "" or self._erased.says("decision", key):
                self._is_soundly_erased("decision", key, key, row, content, seq)
            elif _salted(row) != content.get("decision_digest"):
                self._add("changed", "decision", key, f"is not what entry {seq} recorded", seq)
            elif _of_decision(row) != tuple(content.get(n) for n in ("outcome", "merchant", "instance", "event")):
                self._add("changed", "decision", key, "its columns are not what its text says", seq)
        self._name(("decision", key, "") for key in named)

    def _is_soundly_erased(self, kind: str, name: str, id_: str, row: Any, said: Said, seq: int) -> bool:
        """Compare a record without its text with what the log says of it and of its erasure."""
        doubt = self._erased.doubt(kind, id_, row._mapping, said.get(f"{kind}_digest"))
        columns = _of_erased_event(row) if kind == "event" else _of_decision(row)
        names = ("merchant", "seq") if kind == "event" else ("outcome", "merchant", "instance", "event")
        if not doubt and columns != tuple(said.get(each) for each in names):
            doubt = "its columns are not what the log says"
        if doubt:
            self._add("missing" if row.body == "" else "changed", kind, name, doubt, seq)
        return not doubt

    def _note_holds(self, content: Said) -> None:
        holds = content.get("holds")
        if isinstance(holds, list):
            self._name(("hold", hold, "") for hold in holds if isinstance(hold, str))
        if _texts(content, "hold", "by", "reason_digest"):
            row = (content["hold"], content["by"], content["reason_digest"])
            self._named.execute("INSERT OR IGNORE INTO released VALUES (?, ?, ?)", row)

    def _check_holds(self) -> None:
        holds, decisions = schema.holds, schema.decisions
        joined = holds.outerjoin(decisions, decisions.c.id == holds.c.decision_id)
        present = 0
        for row in self._all(joined, (holds, decisions.c.body), (holds.c.id,)):
            if not self._is_named("hold", row.id):
                self._add("unnamed", "hold", row.id, "no entry of the log names it")
                continue
            present += 1
            if self._erased.says("hold", row.id):
                if doubt := self._erased.doubt_of_hold(row._mapping):
                    self._add("changed", "hold", row.id, doubt)
                continue
            if row.source != "decision":
                if doubt := self._review.doubt_of_hold(row._mapping):
                    self._add("changed", "hold", row.id, doubt)
            elif not _as_decided(row):
                self._add("changed", "hold", row.id, "is not what its decision says")
            if doubt := self._review.doubt_of_people(row._mapping, row.body):
                self._add("changed", "hold", row.id, doubt)
            self._check_release(row)
        named = self._named.execute("SELECT COUNT(*) FROM named WHERE kind = 'hold'").fetchone()[0]
        if present != named:
            self._note_missing_holds()

    def _check_release(self, row: Any) -> None:
        entry = self._named.execute("SELECT by, reason_digest FROM released WHERE hold = ?", (row.id,)).fetchone()
        if row.released_at is None:
            if entry is not None:
                self._add("changed", "hold", row.id, "is in force, but the log says that it was released")
        elif entry is None:
            self._add("changed", "hold", row.id, "is released, but no entry of the log says so")
        elif entry[0] != row.released_by or not is_of(self._connection, entry[1], row.release_reason or ""):
            self._add("changed", "hold", row.id, "its release is not what the log says")

    def _note_baseline(self, content: Said) -> None:
        if _texts(content, "instance", "account", "settings_digest"):
            row = (content["instance"], content["account"], content["settings_digest"])
            self._named.execute("INSERT OR REPLACE INTO baselines VALUES (?, ?, ?)", row)

    def _check_baselines(self) -> None:
        """Compare what releases will restore, for whoever changes that decides how a merchant is paid out."""
        table = schema.restrictions
        columns = (table.c.instance, table.c.account, table.c.baseline, table.c.applied)
        for row in self._all(table, columns, (table.c.instance, table.c.account)):
            if row.baseline is None:
                if row.applied != "none":
                    self._add("missing", "baseline", row.account, "is missing, but the account is restricted")
                continue
            logged = self._named.execute(
                "SELECT digest FROM baselines WHERE instance = ? AND account = ?", (row.instance, row.account)
            ).fetchone()
            if logged != (_digest(row.baseline),):
                self._add("changed", "baseline", row.account, "is not what the log recorded")

    def _note_missing_holds(self) -> None:
        holds = schema.holds
        for (hold,) in self._named.execute("SELECT a FROM named WHERE kind = 'hold' ORDER BY a"):
            if self._connection.execute(select(holds.c.id).where(holds.c.id == hold)).first() is None:
                self._add("missing", "hold", hold, "is missing, the log names it")

    def _all(self, table: Any, columns: Sequence[Any], key: Sequence[Any]) -> Iterator[Any]:
        """Read a whole table in pages, in the order of its key."""
        query = select(*columns).select_from(table).order_by(*key).limit(_PAGE)
        page = self._connection.execute(query).all()
        while page:
            yield from page
            last = [getattr(page[-1], column.name) for column in key]
            page = self._connection.execute(query.where(tuple_(*key) > tuple_(*last))).all()

    def _name(self, names: Iterable[tuple[str, str, str]]) -> None:
        self._named.executemany("INSERT OR IGNORE INTO named VALUES (?, ?, ?)", names)

    def _is_named(self, kind: str, a: str, b: str = "") -> bool:
        row = self._named.execute("SELECT 1 FROM named WHERE kind = ? AND a = ? AND b = ?", (kind, a, b))
        return row.fetchone() is not None

    def _add(self, what: str, kind: str, record: str, sentence: str, entry: int | None = None) -> None:
        self._problems.add(what, f"{kind} `{record}`: {sentence}", entry=entry, record=record)


def _content(payload: object) -> Said | None:
    try:
        content = json.loads(payload) if isinstance(payload, str) else None
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _digest(stored: object) -> str:
    """Digest what a column of text holds; SQLite lets anybody store something else there, which equals nothing."""
    return digest_of(stored) if isinstance(stored, str) else ""


def _salted(row: Any) -> str:
    """Digest a record's text with its salt, as the log names it."""
    # A salt of another length could hold a part of the text.
    sound = row.salt is None or (isinstance(row.salt, str) and len(row.salt) == SALT_LENGTH)
    return salted_digest(row.salt, row.body) if sound and isinstance(row.body, str) else ""


def _texts(content: Said, *names: str) -> bool:
    return all(isinstance(content.get(name), str) for name in names)


def _facts(row: Any, said: Said, position: int) -> Facts | None:
    """The facts of an event, if its columns say the same as its text, which the log protects."""
    try:
        event = Event.model_validate_json(row.body)
    except ValidationError:
        return None
    logged = (position, said.get("merchant"), said.get("seq"))
    written = (str(event.type), event.account.id, micros(event.occurred_at))
    stored = (row.position, row.merchant, row.seq), (row.type, row.account, row.occurred_at)
    return facts_of(event, row.merchant) if (logged, written) == stored and row.seen < position else None


def _of_erased_event(row: Any) -> tuple[str, int]:
    return row.merchant, row.seq


def _of_decision(row: Any) -> tuple[str, str, str, str]:
    return row.outcome, row.merchant, row.instance, row.event_id


def _as_decided(row: Any) -> bool:
    """Tell whether a hold restricts what its decision said, as hard as it said."""
    try:
        decision = Decision.model_validate_json(row.body or "")
    except ValidationError:
        return False
    own = [m for m in decision.matches if (f"{m.policy}/{m.rule}", m.outcome.value) == (row.rule, row.outcome)]
    scopes = {match.scope or Scope.usual(match.outcome) for match in own}
    if Scope.PAYOUT in scopes:
        scopes.add(Scope.PAYOUTS)  # of a payout that was under way already
    place = (decision.merchant, decision.instance, decision.subject.account)
    return row.scope in scopes and place == (row.merchant, row.instance, row.account)
