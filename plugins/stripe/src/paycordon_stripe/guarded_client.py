"""Screen the calls of the facilitator's own backend before money moves.

One line wraps the client that the backend already has; every call that is not about payouts, transfers or accounts
goes through untouched, and so do the answers and errors of those that are::

    client = guard(stripe.StripeClient(key), cordon, "stripe_eu")
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from stripe import AccountService, PayoutService, StripeClient, TransferService

from paycordon.decisions import Decision, Outcome
from paycordon.errors import Blocked, Held
from paycordon.events import Event, Mode
from paycordon_stripe.requested import Call, event_of

if TYPE_CHECKING:
    from stripe import Account, Payout, RequestOptions, Transfer
    from stripe.params import (
        AccountCreateParams,
        AccountUpdateParams,
        PayoutCreateParams,
        TransferCreateParams,
    )

__all__ = ["Cordon", "guard"]


NEUTRAL_REASON = "additional_information_required"
"""What is told when the decision itself said nothing, for the hold came later."""


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


def guard(
    client: StripeClient,
    cordon: Cordon,
    instance: str,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StripeClient:
    """Return a client like the given one whose calls are screened first; the given one is not changed.

    Screened are `v1.payouts.create` and `v1.transfers.create` to connected accounts, `v1.accounts.create` and
    `v1.accounts.update`, and their `_async` twins; payouts of the platform itself are not a merchant's. A call repeated
    with its idempotency key and parameters is the same event, so it passes once the hold is released.

    Args:
        client: the backend's own client.
        cordon: what screens.
        instance: the name of the configured instance this client speaks for; the client's key says its mode.
        clock: the present, UTC.

    Raises:
        Held, Blocked: from a screened call, which then was not sent; they carry the decision's id and the reason that
            may be told to the merchant, nothing else.
        PayloadInvalid: from a screened call whose parameters cannot be read; it was not sent either.
    """
    # The SDK has no public way to make a service that shares a client's connection and options.
    requestor = client.v1._requestor
    is_test = (requestor.api_key or "").startswith(("sk_test_", "rk_test_"))
    checkpoint = _Checkpoint(cordon, instance, Mode.TEST if is_test else Mode.LIVE, clock)
    guarded, v1 = copy.copy(client), copy.copy(client.v1)
    v1.payouts = _Payouts(requestor, checkpoint)
    v1.transfers = _Transfers(requestor, checkpoint)
    v1.accounts = _Accounts(requestor, checkpoint)
    guarded.v1 = v1
    return guarded


class _Checkpoint:
    def __init__(self, cordon: Cordon, instance: str, mode: Mode, clock: Callable[[], datetime]) -> None:
        self._cordon = cordon
        self._instance = instance
        self._mode = mode
        self._clock = clock

    def passes(self, call: Call) -> None:
        decision = self._cordon.screen(self._event(call))
        _stop(decision, self._cordon.in_force(decision))

    # A repeated call gets the decision it got before, so even an `allow` may be overtaken by a hold of today.
    async def passes_async(self, call: Call) -> None:
        decision = await self._cordon.screen_async(self._event(call))
        _stop(decision, await self._cordon.in_force_async(decision))

    def _event(self, call: Call) -> Event:
        return event_of(call, self._instance, self._mode, self._clock())


def _stop(decision: Decision, outcome: Outcome) -> None:
    if outcome.stops:
        error = Blocked if outcome is Outcome.BLOCK else Held
        raise error(decision.id, decision.merchant_reason or NEUTRAL_REASON)


def _call(verb: str, account: str, params: Mapping[str, Any] | None, options: Mapping[str, Any] | None) -> Call:
    key = _headers(options).get("idempotency-key") or (options or {}).get("idempotency_key")
    return Call(verb, account, params or {}, key)


def _headers(options: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key).lower(): str(value) for key, value in ((options or {}).get("headers") or {}).items()}


def _kept(value: Any) -> Any:
    """Copy parameters down to their values, so that what is sent is what was screened, whoever changes the original."""
    if isinstance(value, Mapping):
        return {key: _kept(item) for key, item in value.items()}
    return value if isinstance(value, str | bytes) or not isinstance(value, Iterable) else [_kept(v) for v in value]


def _acting_account(service: PayoutService, options: Mapping[str, Any] | None) -> str:
    """Return the connected account a call is made for, empty for the platform: by options, headers or the client."""
    options = options or {}
    named = (
        _headers(options).get("stripe-account") or options.get("stripe_account") or service._requestor.stripe_account
    )
    context = options.get("stripe_context") or service._requestor._options.stripe_context
    return str(named or str(context or "").rpartition("/")[2])


class _Payouts(PayoutService):
    def __init__(self, requestor: Any, checkpoint: _Checkpoint) -> None:
        super().__init__(requestor)  # type: ignore[no-untyped-call]  # untyped in the SDK
        self._checkpoint = checkpoint

    def create(self, params: PayoutCreateParams, options: RequestOptions | None = None) -> Payout:
        params, options = _kept(params), _kept(options)
        if account := _acting_account(self, options):
            self._checkpoint.passes(_call("payouts.create", account, params, options))
        return super().create(params, options)

    async def create_async(self, params: PayoutCreateParams, options: RequestOptions | None = None) -> Payout:
        params, options = _kept(params), _kept(options)
        if account := _acting_account(self, options):
            await self._checkpoint.passes_async(_call("payouts.create", account, params, options))
        return await super().create_async(params, options)


class _Transfers(TransferService):
    def __init__(self, requestor: Any, checkpoint: _Checkpoint) -> None:
        super().__init__(requestor)  # type: ignore[no-untyped-call]  # untyped in the SDK
        self._checkpoint = checkpoint

    def create(self, params: TransferCreateParams, options: RequestOptions | None = None) -> Transfer:
        params, options = _kept(params), _kept(options)
        if destination := params.get("destination"):
            self._checkpoint.passes(_call("transfers.create", destination, params, options))
        return super().create(params, options)

    async def create_async(self, params: TransferCreateParams, options: RequestOptions | None = None) -> Transfer:
        params, options = _kept(params), _kept(options)
        if destination := params.get("destination"):
            await self._checkpoint.passes_async(_call("transfers.create", destination, params, options))
        return await super().create_async(params, options)


class _Accounts(AccountService):
    def __init__(self, requestor: Any, checkpoint: _Checkpoint) -> None:
        super().__init__(requestor)  # type: ignore[no-untyped-call]  # untyped in the SDK
        self._checkpoint = checkpoint

    def create(self, params: AccountCreateParams | None = None, options: RequestOptions | None = None) -> Account:
        params, options = _kept(params), _kept(options)
        self._checkpoint.passes(_call("accounts.create", "", params, options))
        return super().create(params, options)

    async def create_async(
        self, params: AccountCreateParams | None = None, options: RequestOptions | None = None
    ) -> Account:
        params, options = _kept(params), _kept(options)
        await self._checkpoint.passes_async(_call("accounts.create", "", params, options))
        return await super().create_async(params, options)

    def update(
        self, account: str, /, params: AccountUpdateParams | None = None, options: RequestOptions | None = None
    ) -> Account:
        params, options = _kept(params), _kept(options)
        self._checkpoint.passes(_call("accounts.update", account, params, options))
        return super().update(account, params, options)

    async def update_async(
        self, account: str, /, params: AccountUpdateParams | None = None, options: RequestOptions | None = None
    ) -> Account:
        params, options = _kept(params), _kept(options)
        await self._checkpoint.passes_async(_call("accounts.update", account, params, options))
        return await super().update_async(account, params, options)
