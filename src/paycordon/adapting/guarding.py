"""Screen the calls of the facilitator's own backend before money moves: what the guards of all clients share."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from paycordon.decisions import Decision, Outcome
from paycordon.errors import Blocked, ConfigError, Held
from paycordon.events import Event, EventType

NEUTRAL_REASON = "additional_information_required"
"""What is told when the decision itself said nothing, for the hold came later."""

PENDING_PREFIX = "pending-"
"""How an account is called that a call is about to create, before the gateway has given it an id."""


class Cordon(Protocol):
    """What a guard needs: to have an event screened, and to learn whether people have decided since."""

    def screen(self, event: Event) -> Decision:
        """Decide on an event; the same event again is the same decision."""

    async def screen_async(self, event: Event) -> Decision:
        """As `screen`, for asyncio."""

    def in_force(self, decision: Decision) -> Outcome:
        """Return what holds now: the decision's outcome, or `allow` once it has been released."""

    async def in_force_async(self, decision: Decision) -> Outcome:
        """As `in_force`, for asyncio."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call about to be made.

    Attributes:
        verb: as in `payouts.create`.
        account: whom it is about; empty where the gateway has no account yet.
        params: the parameters.
        idempotency_key: as the backend gave it.
        path: of the request.
    """

    verb: str
    account: str
    params: Mapping[str, Any]
    idempotency_key: str | None
    path: str = ""

    def event_id(self, said: object = None) -> str:
        """Name the request: the same for a retry with the same key and parameters, new for a call without a key.

        Args:
            said: what counts of the parameters; all of them unless given. Where it is no more than the gateway will
                tell of what was made, its delivery can name the request as well: see `paycordon.gateways.ASKED_AS`.
        """
        if self.idempotency_key is None:
            return f"guard-{uuid.uuid4().hex}"
        return asked_id(self.path, self.account, self.idempotency_key, self.params if said is None else said)


def asked_id(path: str, account: str, idempotency_key: str, said: object) -> str:
    """Return the id of the event of a guarded request."""
    text = json.dumps([path, account, idempotency_key, said], sort_keys=True, default=str)
    return f"guard-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


class Checkpoint:
    """Where calls are stopped or let through.

    Args:
        cordon: what screens.
        event_of: says what a call asks for, as an event of the instance.

    Raises:
        Held, Blocked: from every method; with the decision's id and what may be told to the merchant, nothing else.
        PayloadInvalid: a call cannot be read.
        ConfigError: the guard was given the name of an instance that is not configured, where no hold is enforced.
    """

    def __init__(self, cordon: Cordon, event_of: Callable[[Call], Event]) -> None:
        self._cordon = cordon
        self._event_of = event_of

    # A repeated call gets the decision it got before, so even an `allow` may be overtaken by a hold of today.
    def passes(self, call: Call) -> None:
        """Return if the call may be made."""
        decision = self._cordon.screen(self._asked(call))
        _stop(decision, self._cordon.in_force(decision))

    async def passes_async(self, call: Call) -> None:
        """As `passes`, for asyncio."""
        decision = await self._cordon.screen_async(self._asked(call))
        _stop(decision, await self._cordon.in_force_async(decision))

    def opened(self, call: Call, account: str) -> None:
        """Have an account judged that a call has just opened, now that it has an id; this stops nothing any more.

        So what policy wants held of a new account is held before the caller knows of the account.
        """
        self._cordon.screen(_of_account(self._event_of(call), account))

    async def opened_async(self, call: Call, account: str) -> None:
        """As `opened`, for asyncio."""
        await self._cordon.screen_async(_of_account(self._event_of(call), account))

    def paid_out(self, call: Call, payout: str) -> None:
        """Record by which id the gateway knows a payout that a call has just made, so that its delivery is news of it.

        For gateways whose deliveries tell nothing of the request by which the guard could know it again; their
        `translate` names `made_as(payout)` under `paycordon.gateways.ASKED_AS`.
        """
        asked = self._event_of(call)
        if asked.payout is not None:
            made = asked.payout.model_copy(update={"id": payout})
            changes = {"id": made_as(payout), "type": EventType.PAYOUT_UPDATED, "payout": made}
            self._cordon.screen(asked.model_copy(update=changes))

    def _asked(self, call: Call) -> Event:
        event = self._event_of(call)
        known = getattr(self._cordon, "instances", ())  # what is given as a cordon need not have a configuration
        if known and event.instance not in known:
            hint = f"give the guard one of {', '.join(f'`{name}`' for name in sorted(known))}"
            raise ConfigError(f"no instance `{event.instance}` is configured under `gateways`", hint=hint)
        return event


def made_as(payout: str) -> str:
    """Return the id of the event by which a guard records what has become of a request to pay out."""
    return f"guard-made-{payout}"


def _of_account(asked: Event, account: str) -> Event:
    """Say of an account what was said when it was asked for."""
    there = asked.account.model_copy(update={"id": account, "at_gateway": True})
    return asked.model_copy(update={"id": f"{asked.id}-opened", "account": there})


def _stop(decision: Decision, outcome: Outcome) -> None:
    if outcome.stops:
        error = Blocked if outcome is Outcome.BLOCK else Held
        raise error(decision.id, decision.merchant_reason or NEUTRAL_REASON)


def kept(value: Any) -> Any:
    """Copy parameters down to their values, so that what is sent is what was screened, whoever changes the original."""
    if isinstance(value, Mapping):
        return {key: kept(item) for key, item in value.items()}
    return value if isinstance(value, str | bytes) or not isinstance(value, Iterable) else [kept(v) for v in value]
