"""The tutorial adapter: Acme Pay, a gateway that exists only in `acme_simulator.py` beside this file.

Acme signs `time.body` with HMAC-SHA-256 and sends `acme-signature: t=<seconds>,s=<hex>`. It holds payouts by a manual
payout schedule and stops payments with a switch; people can change both in its dashboard as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

import requests
from pydantic import Field, JsonValue, SecretStr, ValidationError

from paycordon.adapting.answers import meaning
from paycordon.adapting.fields import Node
from paycordon.errors import OutcomeUnknown, PayloadInvalid, Refused, RetryLater, SignatureInvalid
from paycordon.events import Event, EventType, Mode, Subject
from paycordon.gateways import (
    Applied,
    Change,
    Delivery,
    Gateway,
    GatewaySettings,
    GatewayState,
    Grade,
    Message,
    Restriction,
    Settings,
    Support,
    check_fence,
)
from paycordon.hookspecs import hookimpl
from paycordon.signatures import matches_any, require_fresh

SIGNATURE = re.compile(r"t=([0-9]{1,12}),s=([0-9a-f]{64})")
MANUAL: JsonValue = {"interval": "manual"}
ACCOUNT_ID = re.compile(r"acct_[a-z0-9]{1,40}")
TYPES = {
    "account.created": EventType.MERCHANT_ONBOARDING,
    "payout.created": EventType.PAYOUT_REQUESTED,
    "payout.failed": EventType.PAYOUT_UPDATED,
    "dispute.created": EventType.DISPUTE_OPENED,
}


class AcmeSettings(GatewaySettings):
    """What the configuration says of one connection to Acme Pay. `timeout` is in seconds."""

    url: str
    api_key: SecretStr
    webhook_secrets: Annotated[tuple[Annotated[SecretStr, Field(min_length=1)], ...], Field(min_length=1)]
    timeout: float = 10.0


class AcmePay(Gateway[AcmeSettings]):
    """Acme Pay, for facilitators whose merchants have Acme accounts."""

    name = "acme_pay"
    settings_type = AcmeSettings
    capabilities: ClassVar[Mapping[Restriction, Support]] = {
        Restriction.PAYOUTS_HELD: Support(Grade.FULL, "a manual payout schedule, under which Acme pays out nothing"),
        Restriction.BLOCKED: Support(Grade.FULL, "the manual schedule, and payments switched off"),
    }

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        """Check time and signature of the whole body; a delivery is one message."""
        found = SIGNATURE.fullmatch(delivery.headers.get("acme-signature", ""))
        if not found:
            raise SignatureInvalid("`acme-signature` is missing or malformed")
        require_fresh(datetime.fromtimestamp(int(found[1]), UTC), now)
        secrets = [secret.get_secret_value().encode() for secret in self.settings.webhook_secrets]
        if not matches_any(secrets, found[1].encode() + b"." + delivery.body, [bytes.fromhex(found[2])]):
            raise SignatureInvalid("the signature matches none of the configured secrets")
        try:
            body = json.loads(delivery.body)
            said = Node(body, "message")
            return [Message(said.needed_text("id"), said.needed_text("type"), body)]
        except (ValueError, RecursionError, PayloadInvalid):
            raise SignatureInvalid("the body is not an Acme message") from None

    def translate(self, message: Message) -> Iterable[Event]:
        """Give the three types that Acme's messages share with the canonical events."""
        known = TYPES.get(message.type)
        if known is None or message.body.get("live") is not (self.settings.mode is Mode.LIVE):
            return []
        try:
            return [self._event(known, message)]
        except (ValidationError, KeyError, TypeError, ValueError, OverflowError, OSError):
            # Without the cause: its text may repeat what the payload held.
            raise PayloadInvalid(f"a message of type `{message.type}` cannot be read") from None

    def _event(self, known: EventType, message: Message) -> Event:
        body: Any = message.body
        data = body["data"]
        fields: dict[str, Any] = {"account": {"id": data["account"]}, "identifiers": ()}
        if known is EventType.MERCHANT_ONBOARDING:
            fields["merchant"] = {"name": data["name"], "country": data["country"]}
            fields["identifiers"] = [{"kind": "email", "value": data["email"]}]
        else:
            amount = {"minor": data["cents"], "currency": data["currency"]}
            fields[known.split(".")[0]] = {"id": data["id"], "amount": amount}
        return Event(
            id=message.id,
            type=known,
            occurred_at=datetime.fromtimestamp(body["created"], UTC),
            gateway=self.name,
            instance=self.instance,
            mode=self.settings.mode,
            **fields,
        )

    def resolve(self, event: Event) -> Event:
        """Return the event as it is: Acme signs the whole body, and the body carries everything."""
        return event

    def read(self, subject: Subject) -> GatewayState:
        """Read the account's payout schedule and payments switch."""
        account = self._call("GET", subject)
        settings = {"payout_schedule": account["payout_schedule"], "payments": account["payments"]}
        return GatewayState(_restriction(settings), settings)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        """Write the settings that differ, one request each, and read them back."""
        wrote = False
        try:
            settings = self.read(subject).settings
            for name, value in _wanted(change).items():
                if settings[name] != value:
                    # A worker that was overtaken by another meanwhile must not write any more.
                    check_fence(timedelta(seconds=self.settings.timeout))
                    # Acme answers a repeated key with its first answer, so each request of a change has its own.
                    self._call("POST", subject, {name: value}, f"{key}/{name}")
                    wrote = True
            return Applied(self.read(subject))
        except RetryLater as error:
            if wrote:
                raise OutcomeUnknown("part of the change was made") from error
            raise

    def _call(self, method: str, subject: Subject, body: Settings | None = None, key: str = "") -> Any:
        if not ACCOUNT_ID.fullmatch(subject.account):
            raise Refused("the account id is not one of Acme's")
        headers = {"authorization": f"Bearer {self.settings.api_key.get_secret_value()}", "idempotency-key": key}
        url, writing = f"{self.settings.url}/v1/accounts/{subject.account}", method != "GET"
        try:
            answer = requests.request(method, url, json=body, headers=headers, timeout=self.settings.timeout)
        except requests.RequestException as lost:
            raise meaning("Acme", None, type(lost).__name__, writing=writing) from None
        if answer.status_code != 200:
            raise meaning("Acme", answer.status_code, f"status {answer.status_code}", writing=writing)
        return answer.json()


def _restriction(settings: Settings) -> Restriction:
    if settings["payout_schedule"] != MANUAL:
        return Restriction.NONE
    return Restriction.PAYOUTS_HELD if settings["payments"] else Restriction.BLOCKED


def _wanted(change: Change) -> Settings:
    if change.to is Restriction.NONE:
        return change.baseline
    blocked = change.to is Restriction.BLOCKED
    return {"payout_schedule": MANUAL, "payments": False if blocked else change.baseline["payments"]}


@hookimpl
def register_gateways() -> Iterable[type[Gateway[Any]]]:
    """Return the one adapter of this plugin."""
    return [AcmePay]
