"""Which decisions rest on an indicator, on a policy version, or on another merchant's block.

A decision *used* an indicator if one of its findings names it in its evidence (`digest`, `source` and `reference`),
whatever the policies made of that. It used a policy version if one of its matches is a rule of that version, or of the
version's `on_error` or typologies, with an outcome above `allow`. It used a *shared* identifier if it found that a
blocked merchant was seen with it. All this stands in the decision itself; the table `uses` is an index of it, written
in the decision's transaction, so that a correction finds every decision without reading them all.

Policies that were in force and said nothing are no use: `store.withdrawals.judged_under` counts those decisions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from paycordon.coalition.relations import Relation
from paycordon.decisions import Decision, Finding, Outcome
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

INDICATOR = "indicator"
POLICY = "policy"
SHARED = "shared"
_COALITION_CHECK = "indicator_match"
SHARED_WITH_BLOCKED = "identifier.shared_with_blocked"
NEAR_BLOCKED = "identifier.near_blocked"

_insert = Prepared(text("INSERT INTO uses (kind, key, decision_id) VALUES (:kind, :key, :decision_id)"))
_told = Prepared(
    text(
        "SELECT 1 FROM uses u JOIN decisions d ON d.id = u.decision_id WHERE u.kind = 'indicator' AND u.key = :key "
        "AND d.merchant = :merchant AND d.outcome <> 'allow' AND d.id <> :decision LIMIT 1"
    )
)
_COUNTS = (
    "SELECT confidence, status FROM indicators WHERE digest = :digest AND source = :source AND reference = :reference "
    "AND withdrawn_at IS NULL AND (valid_from IS NULL OR valid_from <= :at) "
    "AND (valid_until IS NULL OR valid_until > :at)"
)
_counts = {"sqlite": Prepared(text(_COUNTS)), "postgresql": Prepared(text(f"{_COUNTS} FOR SHARE"))}


def indicator_key(digest: str, source: str, reference: str) -> str:
    """Name an indicator as one text."""
    return json.dumps([digest, source, reference], ensure_ascii=False, separators=(",", ":"))


def named_in(finding: Finding) -> str | None:
    """The key of the indicator that a finding names in its evidence, if it names one."""
    said = finding.evidence
    digest, source, reference = said.get("digest"), said.get("source"), said.get("reference")
    if isinstance(digest, str) and isinstance(source, str) and isinstance(reference, str):
        return indicator_key(digest, source, reference)
    return None


def stated_confidence(finding: Finding) -> int:
    """What the source of the indicator said then, 0 to 100; findings of the first versions say nothing else."""
    stated = finding.evidence.get("stated")
    return stated if isinstance(stated, int) else round(finding.confidence * 100)


def shared_in(finding: Finding) -> tuple[str, ...]:
    """The digests of the identifier that a finding says a blocked merchant was seen with, as they are stored."""
    if finding.code == NEAR_BLOCKED:
        through = finding.evidence.get("through")
        return (through,) if isinstance(through, str) else ()
    if finding.code != SHARED_WITH_BLOCKED:
        return ()
    digest, stored = finding.evidence.get("digest"), finding.evidence.get("stored")
    own = [digest] if isinstance(digest, str) else []
    return tuple(dict.fromkeys([*own, *(stored.split() if isinstance(stored, str) else ())]))


def of_decision(decision: Decision) -> list[tuple[str, str]]:
    """All that a decision used, as kind and key, each once."""
    found = {(POLICY, digest) for digest in policies_of(decision)}
    for finding in decision.findings:
        key = named_in(finding)
        if key is not None:
            found.add((INDICATOR, key))
        else:
            found.update((SHARED, digest) for digest in shared_in(finding))
    return sorted(found)


def known_only(decision: Decision) -> list[str]:
    """The keys of the indicators that a decision found, if its event carries none of them itself; else none."""
    met = [each for each in decision.findings if each.check == _COALITION_CHECK]
    if any(each.evidence.get("relation") != Relation.KNOWN for each in met):
        return []
    return sorted({key for each in met if (key := named_in(each)) is not None})


def told_before(connection: Connection, decision: Decision, indicators: Sequence[str]) -> bool:
    """Tell whether each of these indicators led to another decision on the merchant that people were to look at.

    A rule may ask for more than indicators, so whatever else was found is always new.
    """
    if any(each.check != _COALITION_CHECK for each in decision.findings):
        return False
    where = {"merchant": decision.merchant, "decision": decision.id}
    return all(_told(connection, {**where, "key": key}).first() is not None for key in indicators)


def indicators_met(decision: Decision) -> list[str]:
    """The digests of the indicators that the coalition's check found."""
    found = (each.evidence.get("digest") for each in decision.findings if each.check == _COALITION_CHECK)
    return [digest for digest in found if isinstance(digest, str)]


def policies_of(decision: Decision) -> set[str]:
    """The digests of the policy versions whose rules matched with an outcome above `allow`."""
    names = {match.policy for match in decision.matches if match.outcome is not Outcome.ALLOW}
    return {ref.digest for ref in decision.policies if ref.name in names} if names else set()


def write(connection: Connection, decision: Decision) -> None:
    """Write down what a decision used; runs no statement for one that used nothing."""
    rows = [{"kind": kind, "key": key, "decision_id": decision.id} for kind, key in of_decision(decision)]
    _insert.many(connection, rows)


def still_as_found(connection: Connection, decision: Decision) -> bool:
    """Tell whether the indicators that a decision is about to rest on are still as its checks found them.

    On PostgreSQL their rows stay locked until the transaction ends, so that a withdrawal either comes before, and is
    seen here, or after, and finds the decision. SQLite has one writer at a time.
    """
    for finding in sorted(decision.findings, key=lambda each: named_in(each) or ""):
        key = named_in(finding)
        if key is None or finding.check != _COALITION_CHECK:
            continue
        digest, source, reference = json.loads(key)
        where = {"digest": digest, "source": source, "reference": reference, "at": micros(decision.decided_at)}
        row = _counts[connection.dialect.name](connection, where).first()
        if row is None or row != (stated_confidence(finding), finding.evidence.get("status")):
            return False
    return True
