"""What people have looked at and released does not stop the same merchant again at the next event.

The gateway tells of every release: the account is active again, the payout was made. Without this, what was just
released would be held again by its own echo. It is kept like snoozes: for one merchant, with an end, in the log, to be
listed and ended by people. A rule on behaviour says nothing more for a day. A rule that rests on the coalition's
knowledge goes on: only the very indicators that were looked at are passed over, as their source states them now; a new
one, or one whose source states it anew, holds again at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection

from paycordon.context import cleared_indicator
from paycordon.decisions import Decision
from paycordon.errors import NotFound
from paycordon.ids import Randomness
from paycordon.policy.guarded import COALITION_CODES
from paycordon.policy.snoozing import RELEASED
from paycordon.store import decisions, snoozes
from paycordon.store.holds import Hold, Source
from paycordon.store.snoozes import NewSnooze


def remember(
    connection: Connection,
    hold: Hold,
    now: datetime,
    *,
    rules_for: timedelta,
    indicators_for: timedelta,
    reason: str,
    by: str,
    agreed_by: str | None,
    randomness: Randomness,
) -> None:
    """Remember what a hold rested on that people release; of one that a person placed there is nothing to remember.

    Args:
        connection: the transaction in which it is released.
        hold: what is released.
        now: the time, UTC.
        rules_for, indicators_for: for how long; nothing is remembered for no time.
        reason: why it was released.
        by, agreed_by: who released it.
        randomness: for the ids.
    """
    if hold.source is not Source.DECISION or hold.decision_id is None:
        return
    try:
        decision = decisions.get(connection, hold.decision_id)
    except NotFound:  # erased meanwhile
        return
    silent = {each.rule for each in snoozes.listed(connection, now, merchant=hold.merchant)}
    wanted = [(f"{RELEASED}{hold.rule}", rules_for), *((key, indicators_for) for key in _indicators(decision))]
    for rule, lasts in wanted:
        if lasts > timedelta(0) and rule not in silent:
            silent.add(rule)
            kept = NewSnooze(hold.merchant, rule, now + lasts, reason, by, agreed_by)
            snoozes.place(connection, kept, now, randomness)


def _indicators(decision: Decision) -> Iterator[str]:
    for finding in decision.findings:
        if finding.code in COALITION_CODES and "digest" in finding.evidence:
            said = finding.evidence
            yield cleared_indicator(
                str(said["source"]),
                str(said["reference"]),
                str(said["digest"]),
                str(said["status"]),
                int(str(said.get("stated", round(finding.confidence * 100)))),
            )
