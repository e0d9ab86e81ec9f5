"""Compare referrals and their history with what the restricted log says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, select, text

from paycordon.people import same_name
from paycordon.record.log import salted_digest
from paycordon.store import schema

_entries = text("SELECT payload FROM restricted_log WHERE kind LIKE 'referral.%' ORDER BY seq")
_Said = dict[str, dict[int, Mapping[str, Any]]]


def doubts(connection: Connection) -> Iterator[str]:
    """Say what is wrong with referrals; what the log says was erased must be gone, and nothing else may be."""
    said, erased = _said(connection)
    there = set()
    for row in connection.execute(select(schema.referrals).order_by(schema.referrals.c.id)).mappings().all():
        there.add(row["id"])
        doubt = "was erased, as the restricted log says" if row["id"] in erased else _doubt(connection, row, said)
        if doubt:
            yield f"referral `{row['id']}`: {doubt}"
    for id_ in sorted(said.keys() - there - erased):
        yield f"referral `{id_}`: is missing, the restricted log names it"


def _said(connection: Connection) -> tuple[_Said, set[str]]:
    steps: _Said = {}
    erased: set[str] = set()
    for payload in connection.execute(_entries).scalars():
        entry = json.loads(payload)
        erased.update(entry.get("referrals", ()))
        if "number" in entry:
            steps.setdefault(entry["referral"], {})[entry["number"]] = entry
    return steps, erased


def _doubt(connection: Connection, row: RowMapping, said: _Said) -> str:
    entries = said.get(row["id"])
    if not entries:
        return "no entry of the restricted log names it"
    steps, names = schema.referral_steps, schema.referral_merchants
    query = select(steps.c.number, steps.c.salt, steps.c.body).where(steps.c.referral_id == row["id"])
    lines = {number: (salt, body) for number, salt, body in connection.execute(query)}
    told = {number: entry["digest"] for number, entry in entries.items()}
    if told != {number: salted_digest(salt, body) for number, (salt, body) in lines.items()}:
        return "its history is not what the restricted log says"
    versions = [*_earlier(lines), {"salt": row["salt"], "body": row["body"]}]
    received = [entries[n]["about_digest"] for n in sorted(entries) if "about_digest" in entries[n]]
    if received != [salted_digest(each["salt"], each["body"]) for each in versions]:
        return "does not say what the restricted log says was received"
    last = json.loads(lines[max(lines)][1])
    if (row["state"], row["steps"], row["due_at"]) != (last["state"], max(lines), last["due_at"]):
        return "does not stand where its history has led to"
    merchants = connection.execute(select(names.c.merchant).where(names.c.referral_id == row["id"])).scalars()
    if set(merchants) != {name for each in versions for name in json.loads(each["body"])["merchants"]}:
        return "does not name the merchants that the restricted log says were named"
    return "" if all(_by_two(json.loads(body)) for _, body in lines.values()) else "was released by one person"


def _by_two(line: Mapping[str, Any]) -> bool:
    """Tell whether a step was done by two people, if it took them."""
    if not line["detail"].get("two_people"):
        return True
    return line["agreed_by"] is not None and not same_name(line["by"], line["agreed_by"])


def _earlier(lines: Mapping[int, tuple[str, str]]) -> Iterator[Mapping[str, str]]:
    """Yield what it said before each correction, the oldest first."""
    for number in sorted(lines):
        said = json.loads(lines[number][1])
        if said["step"] == "correct":
            yield said["detail"]["before"]
