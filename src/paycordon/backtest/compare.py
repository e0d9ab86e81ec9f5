"""From what was judged to a report: everything is counted in the database, so that no history is too long."""

# ruff: noqa: S608  # statements are put together from names of columns, sides and tables, never from what was read

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from paycordon.backtest.report import (
    KINDS,
    NEW,
    OLD,
    OUTCOME_KINDS,
    SMALL,
    STOPPED,
    Effect,
    Group,
    HistoryRead,
    Report,
    RuleEffect,
    Side,
    Tally,
)
from paycordon.backtest.run import Run
from paycordon.backtest.samples import samples
from paycordon.decisions import Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_RANK = "CASE {} WHEN 'allow' THEN 0 WHEN 'review' THEN 1 WHEN 'hold' THEN 2 ELSE 3 END"
_CHANGE = f"""
CASE WHEN new_outcome = old_outcome THEN NULL
    WHEN {_RANK.format("new_outcome")} > {_RANK.format("old_outcome")}
        THEN CASE new_outcome WHEN 'block' THEN 'newly_blocked' WHEN 'hold' THEN 'newly_held' ELSE 'newly_reviewed' END
    WHEN new_outcome = 'hold' THEN 'newly_lowered'
    WHEN old_outcome = 'review' THEN 'newly_unreviewed'
    ELSE 'newly_released' END
"""
_OUTCOME = "CASE new_outcome WHEN 'block' THEN 'blocked' WHEN 'hold' THEN 'held' WHEN 'review' THEN 'reviewed' END"

# The nearest dispute and refund after each event; what happened at the same moment did not happen after it.
_COMPARED = """
CREATE OR REPLACE TEMP TABLE compared AS
WITH judged_events AS (
    SELECT e.position, e.instance, e.id, e.merchant, e.occurred_at, e.amount, e.currency, e.home,
        printf('%04d', e.mcc) AS mcc, {kind} AS kind
    FROM judged AS j JOIN events AS e USING (position)
), disputed AS (
    SELECT j.*, d.occurred_at AS disputed_at FROM judged_events AS j
    ASOF LEFT JOIN (SELECT merchant, occurred_at FROM events WHERE type = 'dispute.opened') AS d
    ON j.merchant = d.merchant AND j.occurred_at < d.occurred_at
), refunded AS (
    SELECT j.*, r.occurred_at AS refunded_at FROM disputed AS j
    ASOF LEFT JOIN (SELECT merchant, occurred_at FROM events WHERE type = 'payment.refunded') AS r
    ON j.merchant = r.merchant AND j.occurred_at < r.occurred_at
)
SELECT * EXCLUDE (disputed_at, refunded_at),
    CASE WHEN disputed_at <= occurred_at + {within} THEN 'disputed'
        WHEN refunded_at <= occurred_at + {within} THEN 'refunded' ELSE 'clean' END AS fate,
    occurred_at + {within} > {end} AS is_open
FROM refunded
"""


def report(run: Run, *, within: timedelta, with_standing: bool, sample: int, seed: str) -> Report:
    """Count what a run found.

    Args:
        run: the finished run.
        within: how long after an event a dispute or refund of its merchant counts for it.
        with_standing: what the run was told.
        sample: how many events of each kind are shown.
        seed: which ones; the same seed shows the same ones.
    """
    is_diff = OLD in run.sides
    end = _one(run, "SELECT max(occurred_at) FROM events")
    micros = within // timedelta(microseconds=1)
    kind = _CHANGE if is_diff else _OUTCOME
    run.duck.execute(_COMPARED.format(kind=kind, within=micros, end=end))
    affected = "kind IS NOT NULL" if is_diff else f"kind IN {STOPPED}"
    kinds = list(KINDS if is_diff else OUTCOME_KINDS)
    effects = _effects(run)
    return Report(
        history=_history(run),
        within_days=micros // _DAY,
        with_standing=with_standing,
        sides=tuple(_side(run, side) for side in run.sides),
        effects=tuple(effects.get(kind) or _no_effect(kind) for kind in kinds),
        unaffected=effects.get("") or _no_effect(""),
        affected=_tallies(run, f"SELECT 1, merchant, amount, currency FROM compared WHERE {affected}").get(1, Tally()),
        rules=_rules(run, is_diff),
        countries=_groups(run, "home", affected),
        mccs=_groups(run, "mcc", affected),
        samples=samples(run, kinds, sample, seed),
    )


def _one(run: Run, query: str) -> Any:
    row = run.duck.execute(query).fetchone()
    return row[0] if row else None


def _tallies(run: Run, query: str) -> dict[Any, Tally]:
    """Count the rows of a query for (key, merchant, amount, currency), by key."""
    counts = run.duck.execute(f"SELECT k, count(*), count(DISTINCT m) FROM ({query}) AS t(k, m, a, c) GROUP BY k")
    found = {key: (events, merchants) for key, events, merchants in counts.fetchall()}
    sums = run.duck.execute(
        f"SELECT k, c, sum(a)::HUGEINT FROM ({query}) AS t(k, m, a, c) WHERE c IS NOT NULL GROUP BY k, c ORDER BY k, c"
    )
    money: dict[Any, dict[str, int]] = {}
    for key, currency, amount in sums.fetchall():
        money.setdefault(key, {})[currency] = int(amount)
    return {
        key: Tally(events=events, merchants=merchants, money=money.get(key, {}))
        for key, (events, merchants) in found.items()
    }


def _history(run: Run) -> HistoryRead:
    row = run.duck.execute(
        "SELECT count(*), count(*) FILTER (WHERE is_judged), min(occurred_at), max(occurred_at) FROM events"
    ).fetchone()
    kept, judged, first, last = row or (0, 0, None, None)
    every = _tallies(run, "SELECT 1, merchant, amount, currency FROM compared").get(1, Tally())
    return HistoryRead(
        name=run.history,
        unit=run.unit,
        digest=run.history_digest,
        read=run.events,
        repeated=run.events - kept,
        judged=judged,
        merchants=every.merchants,
        money=every.money,
        first=None if first is None else _EPOCH + timedelta(microseconds=first),
        last=None if last is None else _EPOCH + timedelta(microseconds=last),
        bad=len(run.bad) + run.more_bad,
        bad_lines=tuple((bad.position, bad.problem) for bad in run.bad),
    )


def _side(run: Run, side: str) -> Side:
    def by(column: str) -> dict[Outcome, Tally]:
        found = _tallies(
            run,
            f"SELECT {column}, merchant, amount, currency FROM judged JOIN events USING (position) "
            f"WHERE {column} IS NOT NULL",
        )
        return {outcome: found[outcome.value] for outcome in Outcome if outcome.value in found}

    return Side(
        side=side,
        name=run.names[side],
        policies=run.sides[side].refs,
        outcomes=by(f"{side}_outcome"),
        shadow=by(f"{side}_shadow"),
        unclear_events=_one(run, f"SELECT count(*) FROM judged WHERE {side}_unclear"),
    )


def _effects(run: Run) -> dict[str, Effect]:
    kind = "coalesce(kind, '')"
    total = _tallies(run, f"SELECT {kind}, merchant, amount, currency FROM compared")
    fates = _tallies(run, f"SELECT {kind} || ':' || fate, merchant, amount, currency FROM compared")
    unknown = dict(
        run.duck.execute(
            f"SELECT {kind}, count(*) FROM compared WHERE is_open AND fate = 'clean' GROUP BY 1"
        ).fetchall()
    )
    return {
        kind: Effect(
            kind=kind,
            total=tally,
            disputed=fates.get(f"{kind}:disputed", Tally()),
            refunded=fates.get(f"{kind}:refunded", Tally()),
            clean=fates.get(f"{kind}:clean", Tally()),
            not_known_yet=unknown.get(kind, 0),
        )
        for kind, tally in total.items()
    }


def _no_effect(kind: str) -> Effect:
    return Effect(kind=kind, total=Tally(), disputed=Tally(), refunded=Tally(), clean=Tally(), not_known_yet=0)


def _rules(run: Run, is_diff: bool) -> tuple[RuleEffect, ...]:
    def matched(side: str) -> Mapping[str, Tally]:
        rules = f"(SELECT position, unnest({side}_rules) AS rule FROM judged)"
        return _tallies(run, f"SELECT rule, merchant, amount, currency FROM {rules} JOIN events USING (position)")

    new = matched(NEW)
    old = matched(OLD) if is_diff else {}
    gained = _only(run, NEW, OLD) if is_diff else {}
    lost = _only(run, OLD, NEW) if is_diff else {}
    names: Iterable[str] = dict.fromkeys(
        [
            *(f"{rule.policy}/{rule.id}" for policies in run.sides.values() for rule in policies.rules),
            *sorted({*new, *old}),
        ]
    )
    return tuple(
        RuleEffect(
            rule=name,
            old=old.get(name, Tally()) if is_diff else None,
            new=new.get(name, Tally()),
            gained_events=gained.get(name, 0),
            lost_events=lost.get(name, 0),
        )
        for name in names
    )


def _only(run: Run, side: str, other: str) -> dict[str, int]:
    """Count the events of changed outcome that one side's rules matched and the other side's did not."""
    query = (
        f"SELECT rule, count(*) FROM (SELECT position, unnest({side}_rules) AS rule, {other}_rules AS others "
        "FROM judged JOIN compared USING (position) WHERE kind IS NOT NULL) "
        "WHERE NOT list_contains(others, rule) GROUP BY rule"
    )
    return dict(run.duck.execute(query).fetchall())


def _groups(run: Run, column: str, affected: str) -> tuple[Group, ...]:
    query = (
        f"SELECT coalesce({column}, ''), count(DISTINCT merchant), "
        f"count(DISTINCT merchant) FILTER (WHERE {affected}) FROM compared GROUP BY ROLLUP (coalesce({column}, ''))"
    )
    found = {group: (merchants, hit) for group, merchants, hit in run.duck.execute(query).fetchall()}
    merchants, hit = found.pop(None, (0, 0))
    overall = hit / merchants if merchants else 0.0
    groups = (
        Group(
            group=group or "not known",
            merchants=merchants,
            affected=hit,
            rate=hit / merchants,
            ratio=hit / merchants / overall if overall else None,
            is_small=merchants < SMALL,
        )
        for group, (merchants, hit) in found.items()
    )
    return tuple(sorted(groups, key=lambda each: (-each.rate, each.group)))
