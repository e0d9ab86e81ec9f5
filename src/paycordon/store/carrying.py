"""An account that is linked to another merchant stays restricted by what held it through the former one.

The link is the facilitator's word, and a word alone must release nothing: no hold ends but by people, two of them where
that is asked for. So each hold that reached the account through its former merchant becomes one on the account itself.
It stays the former merchant's, in whose case its reasons are, and holds nothing else of the new one, who may be
somebody honest; people are told there. Holds on the account itself follow it anyway.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, text

from paycordon.ids import Randomness
from paycordon.store import cases, holds
from paycordon.store.holds import Hold, NewHold, Source
from paycordon.store.prepared import Prepared

ITSELF = "paycordon"
_ORIGIN = re.compile("the account was linked to another merchant while `(.+)` held it")
# A hold on one payout alone reaches no other account.
_reaching = Prepared(
    text(
        "SELECT id FROM holds WHERE released_at IS NULL AND merchant = :former AND scope <> 'payout' "
        "UNION SELECT id FROM holds WHERE released_at IS NULL AND instance = :instance AND account = :account "
        "ORDER BY id"
    )
)
_carried = Prepared(text("SELECT id FROM holds WHERE released_at IS NULL AND internal_reason = :reason ORDER BY id"))


def reason_of(hold_id: str) -> str:
    """Return the internal reason of a hold that was carried over from another one."""
    return f"the account was linked to another merchant while `{hold_id}` held it"


def carry_over(
    connection: Connection, former: str, merchant: str, instance: str, account: str, now: datetime, random: Randomness
) -> None:
    """Hold an account by itself for whatever held it through the merchant that it was linked to.

    Each hold is like the one it comes from, down to the decision that it rests on, so that a withdrawal finds it too.
    Call it late in a transaction: it writes to the log.
    """
    where = {"former": former, "instance": instance, "account": account}
    found = [holds.get(connection, id_) for id_ in _reaching(connection, where).scalars()]
    here = {_origin(hold) for hold in found if (hold.instance, hold.account) == (instance, account)}
    wanted = {_origin(hold): hold for hold in reversed(found) if _origin(hold) not in here}
    if not wanted:
        return
    note = f"account {account} at {instance} was linked to this merchant while holds on `{former}` restricted it"
    cases.put_before_person(connection, merchant, now, "linked", note)
    for origin, hold in sorted(wanted.items()):
        copied = NewHold(**{name: getattr(hold, name) for name in NewHold.__slots__})
        new = replace(
            copied,
            instance=instance,
            account=account,
            subject_kind="account",
            subject_id=account,
            # A decision says itself which holds it places; this one it did not.
            source=Source.ORDER if hold.source is Source.ORDER else Source.PERSON,
            placed_by=ITSELF,
            internal_reason=reason_of(origin),
        )
        holds.place_by_hand(connection, new, now, random)


def carried_from(connection: Connection, hold_id: str) -> Sequence[str]:
    """Return the holds in force that were carried over from another one."""
    return _carried(connection, {"reason": reason_of(hold_id)}).scalars()


def _origin(hold: Hold) -> str:
    carried = _ORIGIN.fullmatch(hold.internal_reason or "")
    return carried[1] if carried and hold.placed_by == ITSELF else hold.id
