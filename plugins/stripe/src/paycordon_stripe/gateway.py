"""The adapter: Stripe Connect as a Paycordon gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from paycordon.events import Event, Mode, Subject
from paycordon.gateways import (
    Act,
    ActParameters,
    Applied,
    Change,
    Delivery,
    Gateway,
    GatewaySettings,
    GatewayState,
    Grade,
    Message,
    Performed,
    Restriction,
    Support,
)
from paycordon_stripe.deliveries import verify
from paycordon_stripe.peoples_acts import ACTS
from paycordon_stripe.translate import GATEWAY, translate

if TYPE_CHECKING:
    import stripe

    from paycordon_stripe.acts import Acts
    from paycordon_stripe.performing import Performer
    from paycordon_stripe.resolving import Resolver

Secret = Annotated[SecretStr, Field(min_length=1)]
_CLOCK = "after 90 days stripe pays out by itself; in the United States after 2 years, in Thailand after 10 days"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class StripeSettings(GatewaySettings):
    """What the configuration says of one Stripe platform account in one mode.

    Attributes:
        api_key: secret or restricted key (`sk_…`, `rk_…`) of the same mode as the instance.
        webhook_secrets: signing secrets (`whsec_…`) of every endpoint that delivers here: account and Connect, and
            while a secret is rotated both the old and the new one.
        base_url: another address than Stripe's own, for the simulator and tests; plain HTTP on this machine only.
        timeout_seconds: how long to wait for an answer before its outcome counts as unknown.
        schedules: where payout schedules are read and written: `accounts`, or `balance_settings`, which also reaches
            accounts that were made by v2 of the API. Not to be changed while something is held.
        cancel_pending_payouts: whether a hold also cancels payouts that were made by hand and are still pending. Stripe
            cannot take that back: the money returns to the balance, and the release makes no new payout. So it is off,
            as everything irreversible is.
    """

    api_key: Secret
    webhook_secrets: Annotated[tuple[Secret, ...], Field(min_length=1)]
    base_url: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=80)] = 20.0
    schedules: Literal["accounts", "balance_settings"] = "accounts"
    cancel_pending_payouts: bool = False

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        other = Mode.TEST if self.mode is Mode.LIVE else Mode.LIVE
        if self.api_key.get_secret_value().startswith((f"sk_{other}_", f"rk_{other}_")):
            raise ValueError(f"`api_key` is a key of {other} mode, but `mode` is {self.mode}")
        if self.base_url is not None and not _keeps_the_key_safe(self.base_url):
            raise ValueError("`base_url` would send the key in the clear; use https, or http on this machine")
        return self


def _keeps_the_key_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


class StripeGateway(Gateway[StripeSettings]):
    """One Stripe platform account. Accounts v1 (and those that v2 also serves through v1)."""

    name: ClassVar[str] = GATEWAY
    settings_type: ClassVar[type[GatewaySettings]] = StripeSettings
    capabilities: ClassVar[Mapping[Restriction, Support]] = {
        Restriction.NONE: Support(
            grade=Grade.FULL,
            how="the payout schedule and the requested capabilities from before the first restriction are written back",
        ),
        Restriction.PAYOUTS_HELD: Support(
            grade=Grade.PARTIAL,
            how="the account's payout schedule is set to manual, so stripe creates no more payouts by itself",
            limits=(
                "an automatic payout that stripe has already created cannot be stopped, and a merchant with the full"
                " dashboard can pay out by hand; payouts of the platform's own code are stopped by `guard`"
            ),
            clock=_CLOCK,
        ),
        Restriction.BLOCKED: Support(
            grade=Grade.PARTIAL,
            how="payouts as under a hold; besides, the capabilities `card_payments` and `transfers` are switched off",
            limits=(
                "other payment methods go on, stripe refuses to switch off some capabilities, switching on again may"
                " need a new review by stripe, and rejecting the account is left to a person"
            ),
            clock=_CLOCK,
        ),
    }

    acts: ClassVar[Mapping[str, Act]] = ACTS
    keeps_missed: ClassVar[timedelta | None] = timedelta(days=30)

    def __init__(self, instance: str, settings: StripeSettings, *, clock: Callable[[], datetime] = _utc_now) -> None:
        super().__init__(instance, settings)
        self._clock = clock

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        """Return the one event of an authentic delivery; see `Gateway.verify`."""
        return verify(delivery, [secret.get_secret_value() for secret in self.settings.webhook_secrets], now)

    def translate(self, message: Message) -> Iterable[Event]:
        """Say what an event of Stripe means; see `Gateway.translate`."""
        return translate(message, self.instance, self.settings.mode)

    def fetch(self, message: Message) -> Message:
        """Read the snapshot of a thin event, or the charge that a dispute or warning names; see `Gateway.fetch`."""
        from paycordon_stripe.fetching import fetch

        return fetch(self._client, message)

    def resolve(self, event: Event) -> Event:
        """Complete an event from the account, and the payout or dispute, as they are now; see `Gateway.resolve`."""
        return self._resolver.resolve(event)

    def read(self, subject: Subject) -> GatewayState:
        """Read the payout schedule and the requested capabilities; see `Gateway.read`."""
        return self._acts.read(subject)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        """Set the payout schedule and the requested capabilities; see `Gateway.apply`."""
        return self._acts.apply(subject, change, key)

    def missed(self, since: datetime) -> Iterable[Message]:
        """Read the events that no endpoint took; see `Gateway.missed`."""
        from paycordon_stripe.missed import missed

        return missed(self._client, since)

    def perform(self, subject: Subject, act: str, parameters: ActParameters, key: str) -> Performed:
        """Do what people decided, as reject an account; see `Gateway.perform`."""
        return self._performer.perform(subject, act, parameters, key)

    @cached_property
    def _client(self) -> stripe.StripeClient:
        # Imported when first needed: the SDK is slow to import, and the intake only verifies and translates.
        from paycordon_stripe.client import connect

        return connect(self.settings)

    @cached_property
    def _performer(self) -> Performer:
        from paycordon_stripe.performing import Performer

        return Performer(self._client, timedelta(seconds=self.settings.timeout_seconds))

    @cached_property
    def _resolver(self) -> Resolver:
        from paycordon_stripe.resolving import Resolver

        return Resolver(self._client)

    @cached_property
    def _acts(self) -> Acts:
        from paycordon_stripe.acts import Acts

        takes = timedelta(seconds=self.settings.timeout_seconds)
        by_balance = self.settings.schedules == "balance_settings"
        cancels = self.settings.cancel_pending_payouts
        return Acts(self._client, self._clock, takes, by_balance_settings=by_balance, cancels_payouts=cancels)
