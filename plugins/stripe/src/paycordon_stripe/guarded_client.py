"""Screen the calls of the facilitator's own backend before money moves.

One line wraps the client that the backend already has; every call that is not about payouts, transfers or accounts
goes through untouched, and so do the answers and errors of those that are::

    client = guard(stripe.StripeClient(key), cordon, "stripe_eu")
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import AsyncIterable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stripe import OAuthService, StripeClient, StripeObject

# The SDK has no public place that every request goes through; a test holds it to what is relied on here.
from stripe._api_requestor import _APIRequestor
from stripe._v1_services import V1Services
from stripe._v2_services import V2Services

from paycordon.adapting.guarding import Call, Checkpoint, Cordon, kept
from paycordon.errors import PayloadInvalid
from paycordon.events import Mode
from paycordon_stripe.acts import ACCOUNT_ID
from paycordon_stripe.requested import event_of
from paycordon_stripe.screened_calls import call_of, headers_of, key_of

if TYPE_CHECKING:
    from stripe import RequestOptions
    from stripe._api_mode import ApiMode
    from stripe._base_address import BaseAddress

__all__ = ["Cordon", "guard"]


def guard(
    client: StripeClient,
    cordon: Cordon,
    instance: str,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StripeClient:
    """Return a client like the given one whose requests are screened first; the given one is not changed.

    Screened are payouts, transfers and outbound payments to connected accounts, and what creates or changes accounts,
    their external accounts, people, capabilities and payout schedules, in v1 and v2: see
    `paycordon_stripe.screened_calls`. It does not matter whether a request is made by a service, its `_async` twin, an
    object that Stripe returned, or `raw_request`. Payouts of the platform itself are not a merchant's. A call repeated
    with its idempotency key and parameters is the same event, so it passes once the hold is released. An account that a
    call has opened is screened once more, by its id, before the call returns: so policy can hold what leaves it.

    Args:
        client: the backend's own client.
        cordon: what screens.
        instance: the name of the configured instance this client speaks for; the client's key says its mode.
        clock: the present, UTC.

    Raises:
        Held, Blocked: from a screened call, which then was not sent; they carry the decision's id and the reason that
            may be told to the merchant, nothing else.
        PayloadInvalid: from a screened call whose parameters cannot be read, or whose own key is of the other mode; it
            was not sent either.
    """
    own = client._requestor
    mode = _mode_of(own.api_key)
    checkpoint = Checkpoint(cordon, lambda call: event_of(call, instance, mode, clock()))
    requestor = _Requestor(own, checkpoint, mode)
    guarded = copy.copy(client)
    guarded._requestor = requestor
    guarded.v1, guarded.v2 = V1Services(requestor), V2Services(requestor)  # type: ignore[no-untyped-call]  # untyped in the SDK
    guarded.oauth = OAuthService(requestor, client._options)  # type: ignore[no-untyped-call]
    return guarded


class _Requestor(_APIRequestor):
    """What all requests of a client go through, with the connection and options of the client's own."""

    def __init__(self, own: _APIRequestor, checkpoint: Checkpoint, mode: Mode) -> None:
        super().__init__(own._options, own._client)
        self._checkpoint = checkpoint
        self._mode = mode

    def _new_requestor_with_options(self, options: RequestOptions | None) -> _APIRequestor:
        # Objects that Stripe returns keep this one, so that `payout.cancel()` and the like are seen as well.
        return _Requestor(super()._new_requestor_with_options(options), self._checkpoint, self._mode)

    def request_raw(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        options: RequestOptions | None = None,
        is_streaming: bool = False,
        *,
        base_address: BaseAddress,
        api_mode: ApiMode,
        usage: list[str] | None = None,
    ) -> tuple[object, int, Mapping[str, str]]:
        call = None
        if method.lower() != "get":
            params, options, call = self._screened(method, url, params, options)
            if call is not None:
                self._checkpoint.passes(call)
        content, status, headers = super().request_raw(
            method, url, params, options, is_streaming, base_address=base_address, api_mode=api_mode, usage=usage
        )
        if call is not None and (account := _opened(call, content, status)):
            self._checkpoint.opened(call, account)
        return content, status, headers

    async def request_raw_async(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        options: RequestOptions | None = None,
        is_streaming: bool = False,
        *,
        base_address: BaseAddress,
        api_mode: ApiMode,
        usage: list[str] | None = None,
    ) -> tuple[AsyncIterable[bytes], int, Mapping[str, str]]:
        call = None
        if method.lower() != "get":
            params, options, call = self._screened(method, url, params, options)
            if call is not None:
                await self._checkpoint.passes_async(call)
        content, status, headers = await super().request_raw_async(
            method, url, params, options, is_streaming, base_address=base_address, api_mode=api_mode, usage=usage
        )
        if call is not None and (account := _opened(call, content, status)):
            await self._checkpoint.opened_async(call, account)
        return content, status, headers

    def _screened(
        self, method: str, url: str, params: Mapping[str, Any] | None, options: RequestOptions | None
    ) -> tuple[Mapping[str, Any] | None, RequestOptions | None, Call | None]:
        """Return parameters, options and call; copies where it is screened, so that what is sent is what was seen."""
        kept_options: Any = kept(options)
        acting = lambda: self._acting_account(kept_options)  # noqa: E731  # asked for by some calls only
        if call_of(method.lower(), url, params, kept_options, acting) is None:
            return params, options, None
        if _mode_of((kept_options or {}).get("api_key") or self.api_key) is not self._mode:
            raise PayloadInvalid("the key of this call is of another mode than that of the guarded client")
        if method.lower() == "post" and key_of(kept_options) is None:
            # The SDK would make one up as well, but not tell: by it the delivery of a payout names its request.
            kept_options = {**(kept_options or {}), "idempotency_key": str(uuid.uuid4())}
        given = kept(_as_sent(params or {}))
        return given, kept_options, call_of(method.lower(), url, given, kept_options, acting)

    def _acting_account(self, options: Mapping[str, Any] | None) -> str:
        """Return the connected account a request is made for, empty for the platform: by options, headers or client."""
        options = options or {}
        headers = headers_of(options)
        named = headers.get("stripe-account") or options.get("stripe_account") or self.stripe_account
        context = headers.get("stripe-context") or options.get("stripe_context") or self._options.stripe_context
        return str(named or str(context or "").rpartition("/")[2])


def _opened(call: Call, content: object, status: int) -> str | None:
    """Return the id of the account that a call has opened, if it has; an answer that cannot be read tells of none."""
    if call.account or not call.verb.endswith("accounts.create") or not 200 <= status < 300:
        return None
    try:
        found = json.loads(content) if isinstance(content, str | bytes) else None
    except ValueError:
        return None
    id_ = found.get("id") if isinstance(found, dict) else None
    return id_ if isinstance(id_, str) and ACCOUNT_ID.fullmatch(id_) else None


def _mode_of(key: str | None) -> Mode:
    return Mode.TEST if (key or "").startswith(("sk_test_", "rk_test_")) else Mode.LIVE


def _as_sent(params: Mapping[str, Any]) -> dict[str, Any]:
    """Put what the SDK makes of objects in their place: the id of one that has an id, the fields of any other."""
    return {key: value.id if hasattr(value, "id") else _plain(value) for key, value in params.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, StripeObject):
        return value.to_dict()
    if isinstance(value, Mapping):
        return _as_sent(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
