"""Screen the calls of the facilitator's own backend before money moves.

One line wraps the SDK that the backend already has; every call that is not about transfers out of the platform,
account holders, their sweeps, schedules, legal entities or bank accounts goes through untouched, and so do the answers
and errors of those that are::

    adyen = guard(Adyen.Adyen(xapikey=key, platform="live"), cordon, "adyen_marketplace")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import Adyen
from Adyen.client import AdyenClient
from Adyen.services.base import AdyenServiceBase

from paycordon.adapting.guarding import Call, Checkpoint, Cordon, kept
from paycordon.errors import Held, PayloadInvalid
from paycordon.events import Event, Mode
from paycordon_adyen.ids import is_account_holder, is_balance_account, is_id
from paycordon_adyen.requested import Whose, event_of
from paycordon_adyen.screened_calls import call_of

__all__ = ["Cordon", "guard"]

_T = TypeVar("_T")
_KNOWN = 10_000
"""Of how many balance accounts it is remembered whose they are; Adyen asks nothing for a look, but time."""


def guard(
    adyen: Adyen.Adyen,
    cordon: Cordon,
    instance: str,
    *,
    account_holder_of: Callable[[str], str | None] | None = None,
    review_held_transfers: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Adyen.Adyen:
    """Return an SDK like the given one whose requests are screened first; the given one is not changed.

    Screened are transfers that leave the platform, and what creates or changes account holders, balance accounts,
    sweeps, payout schedules, legal entities and transfer instruments: see `paycordon_adyen.screened_calls`. Transfers
    between balance accounts are not payouts. A call repeated with its idempotency key and parameters is the same event,
    so it passes once the hold is released. An account holder that a call has opened is screened once more, by its id,
    before the call returns: so policy can hold what leaves it.

    Args:
        adyen: the backend's own SDK.
        cordon: what screens.
        instance: the name of the configured instance this SDK speaks for; its `platform` says its mode.
        account_holder_of: says whose a balance account, legal entity or transfer instrument is. Without it balance
            accounts are looked up at Adyen, each once; the others are taken for those of a new merchant.
        review_held_transfers: send a transfer that is held to Adyen nevertheless, to wait there for the approval of
            people, who approve or cancel it by `paycordon act`. After 30 days Adyen drops it. What is blocked is never
            sent.
        clock: the present, UTC.

    Raises:
        Held, Blocked: from a screened call, which then was not sent; they carry the decision's id and the reason that
            may be told to the merchant, nothing else.
        PayloadInvalid: from a screened call whose parameters cannot be read; it was not sent either.
    """
    own: AdyenClient = adyen.client
    mode = _mode_of(own)
    lookup = _Lookup(adyen, account_holder_of)

    def event(call: Call) -> Event:
        return event_of(call, lookup.whose(call), instance, mode, clock())

    client = _Client(own, Checkpoint(cordon, event), reviews=review_held_transfers)
    return _with_client(adyen, client)


def _with_client(part: _T, client: AdyenClient) -> _T:
    """Copy the SDK, or a service of it, so that it and all it holds speak through another client."""
    copied = object.__new__(type(part))
    # Not by `copy`: the SDK has an answer, `None`, to whatever that asks for.
    for name, value in vars(part).items():
        held = _with_client(value, client) if isinstance(value, AdyenServiceBase) else value
        copied.__dict__[name] = client if name == "client" else held
    return copied


class _Lookup:
    def __init__(self, adyen: Adyen.Adyen, account_holder_of: Callable[[str], str | None] | None) -> None:
        self._accounts = adyen.balancePlatform.balance_accounts_api
        self._given = account_holder_of
        self._known: dict[str, str] = {}

    def whose(self, call: Call) -> Whose:
        if call.verb == "account_holders.create":
            return Whose(None)
        if is_account_holder(call.account):
            return Whose(call.account)
        if self._given is not None and (found := self._given(call.account)):
            return Whose(found)
        if call.verb.startswith(("legal_entities.", "business_lines.", "transfer_instruments.")):
            return Whose(None)
        if not is_balance_account(call.account):
            raise PayloadInvalid(f"`{call.verb}` cannot be screened: it names no balance account")
        return Whose(self._looked_up(call.account))

    def _looked_up(self, balance_account: str) -> str:
        if balance_account not in self._known:
            # What Adyen or the network answers here is the backend's to see, as from its own call.
            found = self._accounts.get_balance_account(balance_account).message
            holder = found.get("accountHolderId") if isinstance(found, Mapping) else None
            if not isinstance(holder, str) or not is_account_holder(holder):
                raise PayloadInvalid("whose the balance account is cannot be read, so nothing was sent")
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[balance_account] = holder
        return self._known[balance_account]


class _Client(AdyenClient):  # type: ignore[misc]  # untyped in the SDK
    """What all requests of the SDK go through, with the credentials and connection of the backend's own."""

    def __init__(self, own: AdyenClient, checkpoint: Checkpoint, *, reviews: bool) -> None:
        self.__dict__.update(own.__dict__)
        self._checkpoint, self._reviews, self._mode = checkpoint, reviews, _mode_of(own)

    def call_adyen_api(
        self,
        request_data: Any,
        service: str,
        method: str,
        endpoint: str,
        idempotency_key: str | None = None,
        **kwargs: Any,
    ) -> Any:
        call = None
        if method.upper() != "GET":
            call = call_of(service, method, endpoint, request_data, idempotency_key, kwargs)
        if call is None:
            return super().call_adyen_api(request_data, service, method, endpoint, idempotency_key, **kwargs)
        # What is sent is what was screened: copies, whoever changes the originals meanwhile.
        params, given = kept(request_data), kept(kwargs)
        params = self._screened(params, call_of(service, method, endpoint, params, idempotency_key, given))
        answer = super().call_adyen_api(params, service, method, endpoint, idempotency_key, **given)
        if made := _made(call, answer.message):
            after = self._checkpoint.opened if call.verb == "account_holders.create" else self._checkpoint.paid_out
            after(call, made)
        return answer

    def _screened(self, params: Any, call: Call | None) -> Any:
        """Return the parameters to send."""
        if call is None or _mode_of(self) is not self._mode:
            raise PayloadInvalid("the call is not the one that was looked at, or of another mode than the guarded SDK")
        try:
            self._checkpoint.passes(call)
        except Held:
            if not self._reviews or call.verb != "transfers.create":
                raise
            return {**params, "review": {**(params.get("review") or {}), **_review(params)}}
        return params


def _mode_of(client: AdyenClient) -> Mode:
    return Mode.LIVE if str(client.platform).lower() == "live" else Mode.TEST


def _made(call: Call, answer: object) -> str | None:
    """Return the id of the account holder or transfer that a call has made; an answer that is none tells of none."""
    form = {"account_holders.create": is_account_holder, "transfers.create": is_id}.get(call.verb)
    id_ = answer.get("id") if isinstance(answer, Mapping) else None
    return id_ if form is not None and isinstance(id_, str) and form(id_) else None


def _review(params: Mapping[str, Any]) -> dict[str, int]:
    asked = (params.get("review") or {}).get("numberOfApprovalsRequired")
    return {"numberOfApprovalsRequired": max(asked, 1) if isinstance(asked, int) else 1}
