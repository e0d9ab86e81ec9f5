"""Read and change restrictions at Stripe through its own SDK.

Writes are desired state: read first, write only what differs, read back. Each request has a key of its own, made from
the key of the change and its parameters. Stripe repeats its stored answer for a key without doing anything, for a day
and even when that answer was an error; a repeated answer therefore moves on to the next key, for the state has just
been read and is not what it should be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import stripe
from pydantic import ValidationError

from paycordon.adapting.fields import problems
from paycordon.adapting.writing import request_key
from paycordon.errors import OutcomeUnknown, PayloadInvalid, Refused, RetryLater
from paycordon.events import Subject
from paycordon.gateways import Applied, Change, GatewayState, Restriction, check_fence
from paycordon_stripe.errors import is_replay, meaning_of, reading, says_replayed
from paycordon_stripe.restrictions import (
    AccountSettings,
    Schedule,
    balance_settings_params,
    gateway_clock,
    schedule_of_account,
    schedule_of_balance_settings,
    settings_of,
)
from paycordon_stripe.shapes import Node

ACCOUNT_ID = re.compile(r"acct_[A-Za-z0-9]{1,64}", re.ASCII)
MAX_REPLAYS = 8
MAX_PENDING = 100
"""How many pending payouts one look at an account cancels; the next look sees the others."""

_BALANCE_SETTINGS = "/v1/balance_settings"
_Answer = stripe.StripeObject


@dataclass(frozen=True, slots=True)
class _Write:
    """One request: `step` names it in its idempotency key."""

    step: str
    params: dict[str, Any]
    send: Callable[[dict[str, Any], str], Any]


class Acts:
    """What workers do at Stripe.

    Args:
        client: must not retry by itself.
        clock: says what time it is, UTC.
        takes: for how long an answer to one request is waited for.
        by_balance_settings: whether schedules are read and written there instead of in the account.
        cancels_payouts: whether a restriction also cancels pending payouts that were made by hand.
    """

    def __init__(
        self,
        client: stripe.StripeClient,
        clock: Callable[[], datetime],
        takes: timedelta,
        *,
        by_balance_settings: bool = False,
        cancels_payouts: bool = False,
    ) -> None:
        self._client = client
        self._clock = clock
        self._takes = takes
        self._by_balance_settings = by_balance_settings
        self._cancels_payouts = cancels_payouts

    def read(self, subject: Subject) -> GatewayState:
        """Read what is restricted now; see `paycordon.gateways.Gateway.read`."""
        settings, _ = self._settings(account_id(subject))
        return _state(settings)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        """Bring the account to a restriction; see `paycordon.gateways.Gateway.apply`."""
        account = account_id(subject)
        try:
            baseline = AccountSettings.model_validate(dict(change.baseline))
        except ValidationError as error:
            raise Refused(f"the baseline is not one of this adapter: {problems(error)}") from None
        now, country = self._settings(account)
        wanted = baseline.restricted_to(change.to, now)
        if self._write_all(list(self._writes(account, now, wanted)), key):
            now = self._read_back(account)
        if self._cancels_payouts and change.to is not Restriction.NONE:
            self._cancel_payouts(account, key)
        expires = self._clock() + gateway_clock(country) if now.restriction is not Restriction.NONE else None
        return Applied(_state(now), expires)

    def _account(self, id_: str) -> Node:
        return node_of(reading(lambda: self._client.v1.accounts.retrieve(id_)), "account")

    def _settings(self, id_: str) -> tuple[AccountSettings, str | None]:
        try:
            account = self._account(id_)
            listed = reading(lambda: self._client.v1.accounts.capabilities.list(id_))
            capabilities = node_of({"list": _plain(listed)}, "capabilities").items("list")
            requested = {c.needed_text("id"): c.flag("requested") is True for c in capabilities}
            schedule = (
                self._schedule_in_balance_settings(id_) if self._by_balance_settings else schedule_of_account(account)
            )
            return settings_of(schedule, requested), account.text("country")
        except PayloadInvalid as error:
            raise Refused(f"the settings of the account cannot be read: {error}") from None
        except ValidationError as error:
            raise Refused(f"the settings of the account cannot be read: {problems(error)}") from None

    def _read_back(self, account: str) -> AccountSettings:
        try:
            return self._settings(account)[0]
        except RetryLater as error:
            raise OutcomeUnknown(f"the change was sent but cannot be read back: {error}") from None

    def _writes(self, account: str, now: AccountSettings, wanted: AccountSettings) -> Iterator[_Write]:
        """Say what to send: payouts are held before anything else and released after everything else."""
        schedule = self._schedule_write(account, now.schedule, wanted.schedule)
        capabilities = [
            self._capability_write(account, name, requested)
            for name, requested in wanted.capabilities.items()
            if now.capabilities.get(name) is not requested
        ]
        holds = wanted.schedule.interval == "manual"
        yield from (schedule, *capabilities) if holds else (*capabilities, schedule)

    def _schedule_write(self, account: str, now: Schedule, wanted: Schedule) -> _Write:
        def send(params: dict[str, Any], key: str) -> _Answer:
            return self._client.v1.accounts.update(account, params, {"idempotency_key": key})  # type: ignore[arg-type]  # a dict

        def send_raw(params: dict[str, Any], key: str) -> Any:
            # The SDK's own call stumbles over what Stripe answers with, after Stripe has done it.
            options = {"stripe_account": account, "idempotency_key": key}
            return self._client.raw_request("post", _BALANCE_SETTINGS, **params, **options)

        if self._by_balance_settings:
            return _Write("balance_settings", balance_settings_params(now, wanted), send_raw)
        schedule = now.params_to(wanted)
        return _Write("schedule", {"settings": {"payouts": {"schedule": schedule}}} if schedule else {}, send)

    def _schedule_in_balance_settings(self, account: str) -> Schedule:
        answer = reading(lambda: self._client.raw_request("get", _BALANCE_SETTINGS, stripe_account=account))
        return schedule_of_balance_settings(Node(answer.data, "balance_settings"))

    def _cancel_payouts(self, account: str, key: str) -> None:
        """Cancel what was paid out by hand and has not left; what leaves meanwhile is too late, and no failure."""
        for payout in self._cancellable(account):
            try:
                _write(self._payout_cancel(account, payout), key, self._takes)
            except Refused:
                if payout in self._cancellable(account):
                    raise
            except RetryLater as error:
                raise OutcomeUnknown(f"only a part of the change was sent: {error}") from None

    def _cancellable(self, account: str) -> list[str]:
        """List the pending payouts made by hand, the newest first, at most `MAX_PENDING`."""
        asked: Any = {"status": "pending", "limit": MAX_PENDING}
        options: stripe.RequestOptions = {"stripe_account": account}
        try:
            listed = node_of({"list": _plain(reading(lambda: self._client.v1.payouts.list(asked, options)))}, "payouts")
            return [
                stripe_id(each.needed_text("id")) for each in listed.items("list") if each.flag("automatic") is False
            ]
        except (PayloadInvalid, RetryLater) as error:
            raise OutcomeUnknown(f"payouts are held, but those that are pending cannot be read: {error}") from None

    def _payout_cancel(self, account: str, payout: str) -> _Write:
        def send(_: dict[str, Any], key: str) -> _Answer:
            return self._client.v1.payouts.cancel(payout, {}, {"stripe_account": account, "idempotency_key": key})

        return _Write(f"cancel:{payout}", {}, send)

    def _capability_write(self, account: str, name: str, requested: bool) -> _Write:
        def send(params: dict[str, Any], key: str) -> _Answer:
            options: stripe.RequestOptions = {"idempotency_key": key}
            return self._client.v1.accounts.capabilities.update(account, name, params, options)  # type: ignore[arg-type]  # a dict

        return _Write(f"capability:{name}", {"requested": requested}, send)

    def _write_all(self, writes: list[_Write], key: str) -> bool:
        """Send them in turn and tell whether any was sent; one that is refused does not keep the others back."""
        refused: Refused | None = None
        sent = False
        for write in writes:
            if not write.params:
                continue
            try:
                _write(write, key, self._takes)
                sent = True
            except Refused as error:
                refused = refused or error
            except RetryLater as error:
                if sent:
                    raise OutcomeUnknown(f"only a part of the change was sent: {error}") from None
                raise
        if refused is not None:
            raise refused
        return sent


def _write(write: _Write, key: str, takes: timedelta) -> None:
    for attempt in range(MAX_REPLAYS):
        check_fence(takes)
        try:
            answer = write.send(write.params, request_key(key, write.step, write.params, attempt))
        except Exception as error:  # the SDK also raises what its parser stumbles over
            if not is_replay(error):
                raise meaning_of(error, writing=True) from None
            continue
        response = getattr(answer, "last_response", answer)
        if not says_replayed(getattr(response, "headers", None)):
            return
    raise RetryLater("stripe repeats stored answers for every key of this change")


def _state(settings: AccountSettings) -> GatewayState:
    return GatewayState(settings.restriction, settings.model_dump(mode="json", exclude_none=True))


def account_id(subject: Subject) -> str:
    """Return the account's id.

    Raises:
        Refused: it is not one of Stripe's.
    """
    # The SDK quotes ids in paths; refusing them here keeps anything but an account out of a request at all.
    if not ACCOUNT_ID.fullmatch(subject.account):
        raise Refused("the subject is not a stripe account (`acct_…`)")
    return subject.account


def stripe_id(value: str) -> str:
    """Return an id.

    Raises:
        Refused: it is not one of Stripe's.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]{1,255}", value, re.ASCII):
        raise Refused("the id is not one of stripe's")
    return value


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, stripe.StripeObject) else value


def node_of(answer: Any, path: str) -> Node:
    """Return what Stripe answered, to be read field by field."""
    return Node(_plain(answer), path)
