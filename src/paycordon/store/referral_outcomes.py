"""What a released referral led to: decisions that found its identifiers, their holds, and what people then decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    "SELECT id, merchant, outcome, rule, source, released_at FROM holds "
    "WHERE decision_id IN :decisions OR (merchant IN :merchants AND source = :person AND created_at >= :since) "
    "ORDER BY id"
).bindparams(bindparam("decisions", expanding=True), bindparam("merchants", expanding=True))
_cases = text(
    "SELECT id, merchant, resolution FROM cases WHERE merchant IN :merchants AND restricted = 0 "
    "AND closed_at >= :since ORDER BY id"
).bindparams(bindparam("merchants", expanding=True))
_contributions = text(
    "SELECT id, merchant, recipient, kind, state FROM contributions WHERE merchant IN :merchants "
    "AND drafted_at >= :since AND state NOT IN :undecided ORDER BY id"
).bindparams(bindparam("merchants", expanding=True), bindparam("undecided", expanding=True))
_UNDECIDED = (State.DRAFT, State.DECLINED, State.LAPSED, State.DROPPED)


@dataclass(frozen=True, slots=True)
class HoldSince:
    """A hold that rests on one of the identifiers, or that a person has placed since on somebody concerned."""

    id: str
    merchant: str
    outcome: str
    rule: str
    by_person: bool
    released: bool


@dataclass(frozen=True, slots=True)
class CaseSince:
    """A case of somebody concerned that people have closed since the release."""

    id: str
    merchant: str
    resolution: str


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
        return bool(self.cases or self.contributions) or any(each.by_person or each.released for each in self.holds)


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
        [HoldSince(h.id, h.merchant, h.outcome, h.rule, h.source == "person", h.released_at is not None) for h in held],
        [CaseSince(row.id, row.merchant, row.resolution) for row in closed],
        [ContributionSince(row.id, row.merchant, row.recipient, row.kind, row.state) for row in told],
    )
