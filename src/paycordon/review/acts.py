"""Ask for what an adapter can do beyond restrictions: reject an account, reverse a transfer, refund a payer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from paycordon.errors import Conflict, NotFound, PaycordonError
from paycordon.gateways import ActParameters, Gateway, Grade
from paycordon.people import Role
from paycordon.review.proposals import Wish, propose_act
from paycordon.store import acts, cases
from paycordon.store.acts import NewAct, StoredAct
from paycordon.store.proposals import Proposal

ABLE = (Grade.FULL, Grade.PARTIAL)


def ask(
    connection: Connection, gateway: Gateway[Any], account: str, act: str, given: Mapping[str, Any], wish: Wish
) -> StoredAct | Proposal:
    """Let an act be done at a gateway, or propose it where that takes two people.

    Args:
        given: the parameters by name, as the adapter's type of them takes them.

    Raises:
        Forbidden: the person may not.
        NotFound: the adapter has no such act.
        Conflict: the gateway cannot do it, or the same was asked for or proposed already.
        PaycordonError: the parameters are not those of the act; says which.
    """
    wish.by.require(Role.ANALYST)
    known = gateway.acts.get(act)
    if known is None:
        hint = f"`paycordon plugins {gateway.name}` lists them" if gateway.acts else "it has none"
        raise NotFound(f"`{gateway.name}` has no act `{act}`; {hint}")
    if known.support.grade not in ABLE:
        raise Conflict(f"`{gateway.name}` cannot do `{act}`: {known.support.how}")
    parameters = _checked(known.parameters, act, given).model_dump_json()
    wanted = NewAct(gateway.instance, account, act, parameters, wish.reason, wish.by.name)
    if known.two_people:
        return propose_act(connection, wanted, wish)
    asked = acts.ask(connection, wanted, wish.now, wish.randomness)
    note = f"{asked.id}: {act} of {account} at {gateway.instance}, by {wish.by.name}: {wish.reason}"
    cases.note(connection, asked.merchant, wish.now, "act", note)
    return asked


def _checked(type_: type[ActParameters], act: str, given: Mapping[str, Any]) -> ActParameters:
    try:
        return type_.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(f"`{'.'.join(map(str, each['loc'])) or act}`: {each['msg']}" for each in found[:3])
        raise PaycordonError(f"`{act}` does not take this: {said}") from None
