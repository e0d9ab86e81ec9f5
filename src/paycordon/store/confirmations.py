"""Indicators that so many merchants share that they name nobody, and what two people say to the contrary.

Whoever wants to hide could put more merchants than `most_merchants` on one bad account: it would name nobody any more.
So a person is told when an indicator first is so common, and two people can say that it names somebody all the same.
What honest merchants share by chance (a domain, an address of the network, a name) keeps its protection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from paycordon.coalition.indicators import MANY
from paycordon.decisions import Decision
from paycordon.errors import Conflict, NotFound
from paycordon.ids import Randomness
from paycordon.links import SHARED_KINDS
from paycordon.record.log import append, digest_of
from paycordon.store import cases, rescreening
from paycordon.store.prepared import Prepared
from paycordon.store.schema import from_micros, micros

_tell = Prepared(
    text(
        "INSERT INTO confirmations (digest, kind, told_at, confirmed) VALUES (:digest, :kind, :now, 0) "
        "ON CONFLICT (digest) DO UPDATE SET told_at = excluded.told_at WHERE confirmations.told_at IS NULL"
    )
)
_confirm = Prepared(
    text(
        "INSERT INTO confirmations (digest, kind, confirmed, changed_at) VALUES (:digest, :kind, 1, :now) "
        "ON CONFLICT (digest) DO UPDATE SET confirmed = 1, changed_at = excluded.changed_at "
        "WHERE confirmations.confirmed = 0"
    )
)
_take_back = Prepared(
    text("UPDATE confirmations SET confirmed = 0, changed_at = :now WHERE digest = :digest AND confirmed = 1")
)
_counting = Prepared(text("SELECT kind FROM indicators WHERE digest = :digest AND withdrawn_at IS NULL LIMIT 1"))
_all = Prepared(text("SELECT digest, kind, told_at, confirmed, changed_at FROM confirmations ORDER BY digest"))


@dataclass(frozen=True, slots=True)
class Common:
    """An identifier that very many merchants share; times are UTC.

    Attributes:
        told_at: when people were told; none if two people spoke first.
        confirmed: whether it names somebody all the same.
        changed_at: when two people last said so, or one took it back.
    """

    digest: str
    kind: str
    told_at: datetime | None
    confirmed: bool
    changed_at: datetime | None


def tell(connection: Connection, decision: Decision, now: datetime, randomness: Randomness) -> None:
    """Put before people, once each, what a decision found to be so common, of kinds that otherwise name somebody."""
    for finding in decision.findings:
        said = finding.evidence
        digest, kind = str(said.get("digest", "")), str(said.get("kind", ""))
        if kind not in SHARED_KINDS or not str(said.get("common", "")).startswith(MANY):
            continue
        if _tell(connection, {"digest": digest, "kind": kind, "now": micros(now)}).rowcount == 0:
            continue
        case = cases.open_for(connection, decision.merchant, now, randomness)
        note = (
            f"the indicator `{digest}` ({kind}) {said['common']}, and so counts for none of them; if it names somebody "
            f"all the same: paycordon indicator confirm --digest {digest}"
        )
        cases.add_event(connection, case, now, "common", decision_id=decision.id, note=note)
        append(connection, now, "indicator.common", {"indicator": digest, "kind": kind, "merchant": decision.merchant})


def check(connection: Connection, digest: str) -> str:
    """Return the kind of an indicator that people may confirm.

    Raises:
        NotFound: no indicator that counts is on it.
        Conflict: honest merchants share such things.
    """
    kind: str | None = _counting(connection, {"digest": digest}).scalar()
    if kind is None:
        raise NotFound(f"there is no indicator on `{digest}` that counts")
    if kind not in SHARED_KINDS:
        raise Conflict(f"honest merchants share identifiers of kind `{kind}`, so that they stay protected")
    return kind


def confirm(connection: Connection, digest: str, by: str, agreed_by: str, reason: str, now: datetime) -> None:
    """Let an indicator name somebody, however many share it; whoever is known by it is screened at once.

    Raises:
        NotFound, Conflict: as `check`; or it is confirmed already.
    """
    kind = check(connection, digest)
    if _confirm(connection, {"digest": digest, "kind": kind, "now": micros(now)}).rowcount == 0:
        raise Conflict(f"`{digest}` is confirmed already")
    said = {"indicator": digest, "kind": kind, "by": by, "agreed_by": agreed_by, "reason_digest": digest_of(reason)}
    position = append(connection, now, "indicator.confirmed", {**said, "at": micros(now)})
    rescreening.want(connection, [digest], position, now)


def take_back(connection: Connection, digest: str, by: str, reason: str, now: datetime) -> None:
    """Let an indicator name nobody again while very many share it; holds stand until people release them.

    Raises:
        NotFound: it is not confirmed.
    """
    if _take_back(connection, {"digest": digest, "now": micros(now)}).rowcount == 0:
        raise NotFound(f"`{digest}` is not confirmed")
    said = {"indicator": digest, "by": by, "reason_digest": digest_of(reason)}
    append(connection, now, "indicator.unconfirmed", {**said, "at": micros(now)})


def listed(connection: Connection) -> Sequence[Common]:
    """Return all that people were told of or have confirmed, by digest."""
    return [
        Common(d, k, told and from_micros(told), bool(confirmed), changed and from_micros(changed))
        for d, k, told, confirmed, changed in _all(connection)
    ]
