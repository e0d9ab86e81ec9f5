"""Do what a person decided: read, send at most one request, read back.

Reading first is what keeps an act from being done twice: gateways forget idempotency keys, and an act that was half
recorded may be taken up later than that. Where an act can be done several times for good reasons, as a partial refund,
the person says what was there before, and the act is done only if that still is so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from paycordon.errors import OutcomeUnknown, PayloadInvalid, Refused, RetryLater
from paycordon.gateways import Performed

_Send = TypeVar("_Send")


@dataclass(frozen=True, slots=True)
class Plan(Generic[_Send]):
    """How one act is done.

    Attributes:
        reference: the id of what is made or changed.
        state: reads how things are, in the gateway's words.
        done: tells whether a state is the one wanted.
        params: what the request says.
        send: sends it, in whatever way the adapter's `send` below calls it.
        ready: tells whether the request may be sent in a state.
    """

    reference: str
    state: Callable[[], str]
    done: Callable[[str], bool]
    params: dict[str, Any]
    send: _Send
    ready: Callable[[str], bool] = lambda _: True


def counted(reference: str, state: Callable[[], str], before: int, params: dict[str, Any], send: _Send) -> Plan[_Send]:
    """Plan what adds to a sum: done if the sum has grown by the amount, and sent only if it has not changed at all."""
    wanted = str(before + params["amount"])
    return Plan(reference, state, lambda found: found == wanted, params, send, lambda found: found == str(before))


def carry_out(gateway: str, act: str, plan: Plan[_Send], send: Callable[[Plan[_Send]], None]) -> Performed:
    """Carry a plan out.

    Args:
        gateway: its name, for what errors say.
        act: the act's name.
        plan: how it is done.
        send: sends the plan's request with its key, asks the fence before, and raises declared errors only.

    Raises:
        RetryLater: nothing happened.
        Refused: the gateway will not do it, or what the person saw has changed.
        OutcomeUnknown: it may have happened.
    """
    try:
        before = plan.state()
    except PayloadInvalid as error:
        raise Refused(f"what {gateway} holds cannot be read: {error}") from None
    if plan.done(before):
        return Performed(plan.reference, before, already=True)
    if not plan.ready(before):
        raise Refused(f"`{act}` was decided on another state than {gateway} shows now, `{before}`; look again")
    send(plan)
    try:
        after = plan.state()
    except (RetryLater, Refused, PayloadInvalid) as error:
        raise OutcomeUnknown(f"`{act}` was sent but cannot be read back: {error}") from None
    if not plan.done(after):
        raise OutcomeUnknown(f"{gateway} shows `{after}` after `{act}`", answered=True)
    return Performed(plan.reference, after, already=False)
