"""What a released referral led to: decisions that found its identifiers, their holds, and what people then decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from paycordon.store import uses
from paycordon.store.contributed import State
from paycordon.store.holds import Source
from paycordon.store.referrals import Referral
from paycordon.store.schema import micros

_decisions = text(
    "SELECT DISTINCT d.id, d.merchant FROM uses u JOIN decisions d ON d.id = u.decision_id "
    "WHERE u.kind = :kind AND u.key IN :keys ORDER BY d.id"
).bindparams(bindparam("keys", expanding=True))
_holds = text(
    "SELECT id, merchant, outcome, rule, source, placed_by, released_at, released_by FROM holds "
    "WHERE decision_id IN :decisions OR (merchant IN :merchants AND source = :person AND created_at >= :since) "
    "ORDER BY id"
).bindparams(bindparam("decisions", expanding=True), bindparam("merchants", expanding=True))
_cases = text(
    "SELECT id, merchant, resolution, closed_by FROM cases WHERE merchant IN :merchants AND restricted = 0 "
    "AND closed_at >= :since ORDER BY id"
).bindparams(bindparam("merchants", expanding=True))
_contributions = text(
    "SELECT id, merchant, recipient, kind, state FROM contributions WHERE merchant IN :merchants "
    "AND drafted_at >= :since AND state NOT IN :undecided ORDER BY id"
).bindparams(bindparam("merchants", expanding=True), bindparam("undecided", expanding=True))
_ITSELF, _BY_WITHDRAWAL = "paycordon", "withdrawal "  # as `store.rejudging.actor` names it
_UNDECIDED = (State.DRAFT, State.DECLINED, State.LAPSED, State.DROPPED)


@dataclass(frozen=True, slots=True)
class HoldSince:
    """A hold that rests on one of the identifiers, or that a person has placed since on somebody concerned."""

    id: str
    merchant: str
    outcome: str
    rule: str
    placed_by: str | None
    released_by: str | None

    @property
    def by_person(self) -> bool:
        """Whether a person has placed or released it, and not this package by itself."""
        return _is_person(self.placed_by) or _is_person(self.released_by)


@dataclass(frozen=True, slots=True)
class CaseSince:
    """A case of somebody concerned that people have closed since the release."""

    id: str
    merchant: str
    resolution: str
    closed_by: str | None

    @property
    def by_person(self) -> bool:
        """Whether a person has closed it, and not a release by this package."""
        return _is_person(self.closed_by)


@dataclass(frozen=True, slots=True)
class ContributionSince:
    """What others were told of somebody concerned since the release, once two people had agreed to it."""

    id: str
    merchant: str
    recipient: str
    kind: str
    state: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a referral since it was released.

    Attributes:
        merchants: who was found by its identifiers, and whom it names itself.
        decisions: those that found one of its identifiers.
    """

    merchants: Sequence[str] = ()
    decisions: Sequence[str] = ()
    holds: Sequence[HoldSince] = ()
    cases: Sequence[CaseSince] = ()
    contributions: Sequence[ContributionSince] = ()

    @property
    def decided(self) -> bool:
        """Whether people have decided anything: closed a case, placed or released a hold, told others."""
        done = [*(each.by_person for each in self.holds), *(each.by_person for each in self.cases)]
        return bool(self.contributions) or any(done)


def outcome_of(connection: Connection, referral: Referral) -> Outcome:
    """Look up what came of a referral; nothing before it was released."""
    since = referral.released_at
    if since is None:
        return Outcome()
    about = referral.about
    keys = [uses.indicator_key(each.digest, about.source, about.reference) for each in about.indicators]
    found = connection.execute(_decisions, {"kind": uses.INDICATOR, "keys": keys}).all()
    merchants = sorted({*about.merchants, *(row.merchant for row in found)})
    where = {"decisions": [row.id for row in found], "merchants": merchants, "since": micros(since)}
    held = connection.execute(_holds, {**where, "person": Source.PERSON.value}).all()
    closed = connection.execute(_cases, {"merchants": merchants, "since": micros(since)}).all()
    undecided = [each.value for each in _UNDECIDED]
    told = connection.execute(_contributions, {**where, "undecided": undecided}).all()
    return Outcome(
        merchants,
        [row.id for row in found],
        [_hold(row) for row in held],
        [CaseSince(row.id, row.merchant, row.resolution, row.closed_by) for row in closed],
        [ContributionSince(row.id, row.merchant, row.recipient, row.kind, row.state) for row in told],
    )


def _is_person(name: str | None) -> bool:
    """Tell whether a name is somebody's, and not this package's, which places again, carries over and releases."""
    return name is not None and name != _ITSELF and not name.startswith(_BY_WITHDRAWAL)


def _hold(row: Any) -> HoldSince:
    placed_by = row.placed_by if row.source == Source.PERSON.value else None
    return HoldSince(row.id, row.merchant, row.outcome, row.rule, placed_by, row.released_by)
