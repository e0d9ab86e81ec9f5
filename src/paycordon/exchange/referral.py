"""How a referral goes: the states of a tip from outside, and which step leads from where to where.

A referral is a tip handed on by a clearing house, a hotline, a card network or an authority. It is offered to law
enforcement first, which releases it or has it held; once released the facilitator acts, and says what came of it. That
much is documented of the coalitions' practice or told of it, and no public source gives time limits: each is a
parameter of the house (`referrals` in the configuration).

This is pure: what is stored, and who may do what, is `paycordon.review.referring`. The other direction, a case of our
own handed to somebody outside, is `paycordon case refer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Where a referral stands.

    Before `released` its identifiers are no indicators, and nothing here rests on it. `closed`: nothing was done.
    `withdrawn`: its source has taken it back. `fed_back`: its source was told what came of it.
    """

    RECEIVED = "received"
    WITH_LAW_ENFORCEMENT = "with_law_enforcement"
    HELD = "held"
    RELEASED = "released"
    ACTED = "acted"
    FED_BACK = "fed_back"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What is done with a referral; `propose` is the first person's word for a release that takes two.

    `correct`: its source says something else instead; what was not released before waits as a new one does.
    """

    RECEIVE = "receive"
    CORRECT = "correct"
    OFFER = "offer"
    HOLD = "hold"
    PROPOSE = "propose"
    RELEASE = "release"
    ACT = "act"
    FEED_BACK = "feed_back"
    CLOSE = "close"
    WITHDRAW = "withdraw"
    UNDO = "undo"


_R, _L, _H = State.RECEIVED, State.WITH_LAW_ENFORCEMENT, State.HELD
_WITHDRAWABLE = (_R, _L, _H, State.RELEASED, State.ACTED, State.FED_BACK, State.CLOSED)

NEXT: Mapping[tuple[State, Step], State] = {
    (_R, Step.OFFER): _L,
    (_L, Step.HOLD): _H,
    (_H, Step.HOLD): _H,  # a new letter moves the end
    **{(state, Step.PROPOSE): state for state in (_R, _L, _H)},
    **{(state, Step.RELEASE): State.RELEASED for state in (_R, _L, _H)},
    **{(state, Step.CORRECT): state for state in (_R, _L, _H)},
    **{(state, Step.CORRECT): _R for state in (State.RELEASED, State.ACTED, State.FED_BACK, State.CLOSED)},
    (State.RELEASED, Step.ACT): State.ACTED,
    **{(state, Step.FEED_BACK): State.FED_BACK for state in (State.ACTED, State.CLOSED, State.WITHDRAWN)},
    **{(state, Step.CLOSE): State.CLOSED for state in (_R, _L, _H, State.RELEASED)},
    **{(state, Step.WITHDRAW): State.WITHDRAWN for state in _WITHDRAWABLE},
}
"""Where each step leads; what is not here cannot be done."""

UNDONE: Mapping[State, State] = {_L: _R, _H: _L, State.ACTED: State.RELEASED}
"""What can be taken back as recorded by mistake, beside a proposal and a closing, which go back to where they were.

A release cannot: screening has seen its indicators. Nor can what others were told, nor what the source has
taken back or corrected.
"""

ENDED = frozenset({State.FED_BACK, State.CLOSED})
"""Where nobody has to do anything more."""


def next_state(state: State, step: Step, *, taken_back: bool = False) -> State | None:
    """Return where a step leads from a state; none where it cannot be done. What was taken back once stays so."""
    return None if step is Step.WITHDRAW and taken_back else NEXT.get((state, step))


def undone(state: State, last: Step, before: State) -> State | None:
    """Return where a referral stands once its last step is taken back; none where that cannot be.

    Args:
        state: where it stands.
        last: the last step.
        before: where it stood before that.
    """
    if last is Step.PROPOSE:
        return state
    if last is Step.CORRECT:
        return None
    return before if last is Step.CLOSE else UNDONE.get(state)


def must_wait(state: State, due_at: datetime | None, now: datetime) -> bool:
    """Tell whether law enforcement's time still runs: a release then takes its word that it lets go."""
    return state in (_L, _H) and due_at is not None and now < due_at
