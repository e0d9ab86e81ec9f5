"""What somebody set by hand at a gateway while an account is restricted.

Under the policy `reapply` the restriction is put back. Under `case` the gateway is left as it is and a person decides:
to put it back (`reapply`), or to leave it (`accept`) until the next hold is placed or released. Neither changes the
baseline: what a release restores is always what was there before the first restriction.

A gateway that stays stricter than asked, such as blocked after a block became a hold, does what the holds ask for and
too much. The account may have been so before the first hold, which only its gateway's settings say; so it is not an
error to be tried until a person must look, but told to a person once and tried again at each regular look.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from paycordon.gateways import GatewayState
from paycordon.record.log import append, digest_of
from paycordon.sections import Drift
from paycordon.store import cases
from paycordon.store.restrictions import RestrictionRow, as_text

WATCHED = ("settled", "drifted", "accepted")
"""States in which nothing was asked for since the gateway last agreed, or since a person was told that it does not."""


class Found(StrEnum):
    """What reading a restricted account means.

    `as_wanted`: nothing special, make sure that it agrees. `changed`: by somebody else, put it back. `told`: changed by
    somebody else, a person must hear of it. `waits`: as a person was told, or accepted; leave it. `back`: what was
    changed was changed back.
    """

    AS_WANTED = "as_wanted"
    CHANGED = "changed"
    TOLD = "told"
    WAITS = "waits"
    BACK = "back"


def found(row: RestrictionRow, state: GatewayState, policy: Drift) -> Found:
    """Say what the state of an account means. Pure."""
    if row.state not in WATCHED or row.settings is None or row.baseline is None:
        return Found.AS_WANTED
    known = row.drift if row.state == "drifted" else row.settings
    if state.settings != known:
        if row.state == "drifted" and state.settings == row.settings:
            return Found.BACK
        return Found.TOLD if policy is Drift.CASE else Found.CHANGED
    if row.state == "drifted" and policy is Drift.REAPPLY:
        return Found.CHANGED
    return Found.AS_WANTED if row.state == "settled" else Found.WAITS


def note(connection: Connection, row: RestrictionRow, state: GatewayState, policy: Drift, now: datetime) -> None:
    """Record that an account was changed by somebody else, in the log and in the merchant's case."""
    digest = digest_of(as_text(state.settings))
    cut = state.restriction.rank < row.desired.rank
    what = "is restricted less than its holds ask for" if cut else "was changed by someone else"
    said = f"account {row.account} at {row.instance} {what}: {state.restriction} instead of {row.desired}"
    if policy is Drift.CASE:
        then = f"{said}; decide by `paycordon restriction reapply` or `accept`"
        cases.put_before_person(connection, row.merchant, now, "drift", then)
    else:
        cases.note(connection, row.merchant, now, "drift", f"{said}; it is put back")
    if cut:
        cases.make_urgent(connection, row.merchant)
    about = {"instance": row.instance, "account": row.account, "settings_digest": digest}
    append(connection, now, "restriction.drift", {**about, "policy": policy.value, "restriction": state.restriction})


def note_stricter(connection: Connection, row: RestrictionRow, state: GatewayState, now: datetime) -> None:
    """Record that a gateway stayed stricter than it was asked to be, and put it before a person."""
    said = f"account {row.account} at {row.instance} stays {state.restriction} although only {row.desired} is wanted"
    then = f"{said}; unless it was so before the first hold, lift the rest at the gateway"
    cases.put_before_person(connection, row.merchant, now, "drift", then)
    about = {"instance": row.instance, "account": row.account, "settings_digest": digest_of(as_text(state.settings))}
    append(connection, now, "restriction.drift", {**about, "policy": "case", "restriction": state.restriction})
