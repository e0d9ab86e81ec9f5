"""The adapter: Adyen for Platforms as a Paycordon gateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, model_validator

from paycordon.events import Event, Subject
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
from paycordon_adyen.deliveries import verify
from paycordon_adyen.installed import require_version
from paycordon_adyen.peoples_acts import ACTS
from paycordon_adyen.sources import Sources
from paycordon_adyen.translate import GATEWAY, translate

if TYPE_CHECKING:
    import Adyen

    from paycordon_adyen.acts import Acts
    from paycordon_adyen.performing import Performer
    from paycordon_adyen.resolving import Resolver

Secret = Annotated[SecretStr, Field(min_length=1)]
AccountHolderId = Annotated[str, StringConstraints(pattern=r"^AH[A-Z0-9]{8,60}$")]
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){16,}", re.ASCII)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AdyenSettings(GatewaySettings):
    """What the configuration says of one balance platform in one mode.

    Attributes:
        api_key: of a credential of the balance platform (`ws…@BalancePlatform.…`).
        legal_entity_api_key: of a credential for legal entities (`ws…@Scope.…`); without it merchants are known by what
            their account holders say, which leaves out legal names, owners, tax numbers and bank accounts.
        disputes_api_key: of a credential of the company account, for drafts of a dispute's defence.
        hmac_keys: of every webhook that delivers here, as the Customer Area shows them (hexadecimal), and while one is
            replaced both the old and the new one.
        webhook_logins: `user:password` of basic authentication, if the webhooks have it; several during a change.
        base_url: another address than Adyen's own, for the simulator and tests; plain HTTP on this machine only.
        timeout_seconds: how long to wait for an answer before its outcome counts as unknown.
        balance_platform: its id; with it, disputes that name no account holder are looked for among its transfers.
        own_account_holders: the platform's own, of which nothing is screened.
        merchant_accounts: account holders by the merchant account that is theirs alone.
        stores: account holders by the reference of their store.
        account_metadata_key: under which the backend writes the account holder into a payment's metadata.
        payments_from: which of the two ways that Adyen tells of payments counts: `transfers`, which say whose the money
            is, or `notifications`, which say who paid, but say whose it is only where one of the above does.
        disputes_from: which of the two ways opens disputes: `notifications`, which come first and carry reasons and
            deadlines, or `transfers`. The other one only updates them.
        payout_schedules: whether payout schedules that Adyen manages are held as well as sweeps.
        block_transfers_by_rule: whether a restriction also adds a transaction rule that blocks every transfer to bank
            accounts and cards; only for platforms that have transaction rules. Not to be changed while something is
            held.
    """

    api_key: Secret
    legal_entity_api_key: Secret | None = None
    disputes_api_key: Secret | None = None
    hmac_keys: Annotated[tuple[Secret, ...], Field(min_length=1)]
    webhook_logins: tuple[Secret, ...] = ()
    base_url: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=80)] = 20.0
    balance_platform: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")] | None = None
    own_account_holders: tuple[AccountHolderId, ...] = ()
    merchant_accounts: Mapping[str, AccountHolderId] = {}
    stores: Mapping[str, AccountHolderId] = {}
    account_metadata_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,20}$")] = "paycordon_account"
    payments_from: Literal["transfers", "notifications"] = "transfers"
    disputes_from: Literal["transfers", "notifications"] = "notifications"
    payout_schedules: bool = True
    block_transfers_by_rule: bool = False

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not all(_HEX.fullmatch(key.get_secret_value()) for key in self.hmac_keys):
            raise ValueError("a key in `hmac_keys` is not hexadecimal, of 32 characters or more")
        if not all(login.get_secret_value().find(":") > 0 for login in self.webhook_logins):
            raise ValueError("an entry of `webhook_logins` is not of the form `user:password`")
        if self.base_url is not None and not _keeps_the_key_safe(self.base_url):
            raise ValueError("`base_url` would send the key in the clear; use https, or http on this machine")
        if self.base_url is not None and ("-live" in self.base_url or "-test" in self.base_url):
            raise ValueError("`base_url` contains `-live` or `-test`, which the SDK would exchange for one another")
        return self


def _keeps_the_key_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


class AdyenGateway(Gateway[AdyenSettings]):
    """One balance platform of Adyen's. Its accounts are account holders (`AH…`)."""

    name: ClassVar[str] = GATEWAY
    settings_type: ClassVar[type[GatewaySettings]] = AdyenSettings
    capabilities: ClassVar[Mapping[Restriction, Support]] = {
        Restriction.NONE: Support(
            grade=Grade.FULL,
            how="the status, capabilities, sweeps and payout schedules from before the first restriction are made to"
            " work again, exactly those",
        ),
        Restriction.PAYOUTS_HELD: Support(
            grade=Grade.FULL,
            how="the capabilities to send money to transfer instruments and third parties are switched off, and the"
            " sweeps and payout schedules of every balance account are made inactive",
            limits=(
                "a transfer that adyen has already sent to the bank; cards that the platform has issued; money can"
                " still be moved to another account holder's balance account by the platform's own code; what is added"
                " while held stays off afterwards"
            ),
        ),
        Restriction.BLOCKED: Support(
            grade=Grade.FULL,
            how="payouts as under a hold; besides, the account holder is suspended and the capabilities to receive"
            " payments and money from others are switched off",
            limits=(
                "payments that name no account holder, or another one; what payers pay meanwhile is booked to the"
                " platform's liable account; closing the account holder is left to a person"
            ),
        ),
    }
    acts: ClassVar[Mapping[str, Act]] = ACTS

    def __init__(self, instance: str, settings: AdyenSettings, *, clock: Callable[[], datetime] = _utc_now) -> None:
        super().__init__(instance, settings)
        self._clock = clock
        require_version()
        self._keys = [bytes.fromhex(key.get_secret_value()) for key in settings.hmac_keys]
        self._logins = [login.get_secret_value() for login in settings.webhook_logins]
        self._sources = Sources(
            own_account_holders=frozenset(settings.own_account_holders),
            merchant_accounts=settings.merchant_accounts,
            stores=settings.stores,
            account_metadata_key=settings.account_metadata_key,
            payments_are_transfers=settings.payments_from == "transfers",
            disputes_are_transfers=settings.disputes_from == "transfers",
            finds_disputed=settings.balance_platform is not None,
        )

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:  # noqa: ARG002  # adyen signs no time
        """Return the messages of an authentic delivery, of either family; see `Gateway.verify`."""
        return verify(delivery, self._keys, self._logins)

    def translate(self, message: Message) -> Iterable[Event]:
        """Say what a webhook of Adyen's means; see `Gateway.translate`."""
        return translate(message, self.instance, self.settings.mode, self._sources)

    def fetch(self, message: Message) -> Message:
        """Read whose a sweep, a payout schedule or a dispute is that does not say so; see `Gateway.fetch`."""
        from paycordon_adyen.fetching import fetch

        return fetch(self._sdk, message, self.settings.balance_platform, self._sources.own_account_holders)

    def resolve(self, event: Event) -> Event:
        """Complete an event from the account holder, its legal entity and the transfer; see `Gateway.resolve`."""
        return self._resolver.resolve(event)

    def read(self, subject: Subject) -> GatewayState:
        """Read status, capabilities, sweeps and payout schedules; see `Gateway.read`."""
        return self._acts.read(subject)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        """Set status, capabilities, sweeps and payout schedules; see `Gateway.apply`."""
        return self._acts.apply(subject, change, key)

    def perform(self, subject: Subject, act: str, parameters: ActParameters, key: str) -> Performed:
        """Do what people decided, as cancel a transfer that waits for approval; see `Gateway.perform`."""
        return self._performer.perform(subject, act, parameters, key)

    @cached_property
    def _sdk(self) -> Adyen.Adyen:
        return self._connected(self.settings.api_key)

    def _connected(self, key: SecretStr) -> Adyen.Adyen:
        # Imported when first needed: the SDK is slow to import, and the intake only verifies and translates.
        from paycordon_adyen.client import connect

        return connect(self.settings, key.get_secret_value())

    @cached_property
    def _entities(self) -> Adyen.Adyen | None:
        key = self.settings.legal_entity_api_key
        return self._connected(key) if key else None

    @cached_property
    def _acts(self) -> Acts:
        from paycordon_adyen.acts import Acts

        by_schedule, by_rule = self.settings.payout_schedules, self.settings.block_transfers_by_rule
        return Acts(self._sdk, self._takes, schedules=by_schedule, adds_rule=by_rule)

    @cached_property
    def _resolver(self) -> Resolver:
        from paycordon_adyen.resolving import Resolver

        return Resolver(self._sdk, self._entities)

    @cached_property
    def _performer(self) -> Performer:
        from paycordon_adyen.performing import Performer

        key = self.settings.disputes_api_key
        disputes = self._connected(key) if key else None
        return Performer(self._sdk, self._entities, disputes, self._clock, self._takes)

    @property
    def _takes(self) -> timedelta:
        return timedelta(seconds=self.settings.timeout_seconds)
