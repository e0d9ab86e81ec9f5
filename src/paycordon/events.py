"""What happens at gateways, in one canonical form.

Money is an integer of minor units with an ISO 4217 code, times are aware and in UTC, identifiers are typed, and
every enumeration is open: gateways add values monthly, and an unknown value is a value, not an error.
An event never holds a card number (see `paycordon.cardnumbers`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from iso4217 import Currency
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StrictInt, model_validator

from paycordon.cardnumbers import looks_like_card_number, paths_of_card_numbers

SCHEMA_VERSION: Literal[1] = 1
MAX_EXTRA_DEPTH = 24


class Stage(StrEnum):
    """The three points where money can be stopped, and the context around them."""

    MERCHANT = "merchant"
    PAYOUT = "payout"
    DISPUTE = "dispute"
    PAYMENT = "payment"


SCREENED_STAGES = frozenset({Stage.MERCHANT, Stage.PAYOUT, Stage.DISPUTE})
"""What policies decide about; everything else is context."""

NAMING_STAGES = frozenset({Stage.MERCHANT, Stage.PAYOUT})
"""What these carry is the merchant's own; an identifier of a payment or a dispute may be its payer's."""


class EventType(StrEnum):
    """The event types this version knows; others may arrive and are kept."""

    MERCHANT_ONBOARDING = "merchant.onboarding"
    MERCHANT_CHANGED = "merchant.changed"
    PAYOUT_REQUESTED = "payout.requested"
    PAYOUT_UPDATED = "payout.updated"
    DISPUTE_WARNED = "dispute.warned"  # an issuer reports fraud, before there is a dispute or without one
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_UPDATED = "dispute.updated"
    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_REVIEWED = "payment.reviewed"  # the gateway puts it before people, or they are done with it
    PAYMENT_REFUNDED = "payment.refunded"
    PAYMENT_REFUND_FAILED = "payment.refund_failed"


class IdentifierKind(StrEnum):
    """The kinds of identifiers this version can normalise; others are matched as they are."""

    EMAIL = "email"
    PHONE = "phone"
    DOMAIN = "domain"
    URL = "url"
    PERSON = "person"
    LEGAL_ENTITY = "legal_entity"
    TAX_ID = "tax_id"
    IBAN = "iban"
    BANK_ACCOUNT = "bank_account"
    CARD_FINGERPRINT = "card_fingerprint"
    WALLET = "wallet"
    IP = "ip"
    DEVICE = "device"
    DESCRIPTOR = "descriptor"
    MERCHANT_ID = "merchant_id"
    ANALYTICS_ID = "analytics_id"
    HANDLE = "handle"


class Mode(StrEnum):
    """Whether real money moves. Test and live events never meet in one instance."""

    LIVE = "live"
    TEST = "test"


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # within a day of the first or the last moment there is
        raise ValueError("the time lies outside of the calendar") from None


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
# Neither database is offered what one of them refuses (NUL), nor a terminal what it would obey.
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Text = Annotated[str, Field(max_length=2_048, pattern=r"^[^\x00]*$")]
OpaqueId = Annotated[str, Field(min_length=1, max_length=255, pattern=_PRINTABLE)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
TimeZone = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", description="name in the IANA database")]


class Record(BaseModel):
    """Base of all records: frozen, closed to unknown fields; errors name fields and never repeat values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Money(Record):
    """An amount in minor units (cents, öre, fils) of an ISO 4217 currency."""

    # What a signed integer of 64 bits holds: neither a database nor an expression of a rule takes more.
    minor: Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]

    def __str__(self) -> str:
        exponent = minor_unit_exponent(self.currency)
        whole, fraction = divmod(abs(self.minor), 10**exponent)
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{whole:,}{f'.{fraction:0{exponent}d}' if exponent else ''} {self.currency}"


def minor_unit_exponent(currency: str) -> int:
    """Say how many decimals a currency has (ISO 4217); a code outside the standard counts as two."""
    try:
        exponent = Currency(currency).exponent
    except ValueError:
        return 2
    return 2 if exponent is None else exponent


class Identifier(Record):
    """A typed value that names someone or something.

    On the way in it carries the plain `value`; what is stored and shown carries only the keyed `digest`.
    """

    kind: IdentifierKind | Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    value: Annotated[Text | None, Field(repr=False)] = None
    digest: Annotated[str | None, Field(max_length=255)] = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if not self.value and not self.digest:
            raise ValueError("an identifier needs a `value` or a `digest`")
        return self


class Merchant(Record):
    """The facilitator's own customer. `id` is the facilitator's; without it the account stands for itself."""

    id: OpaqueId | None = None
    name: Text | None = None
    country: Country | None = None
    mcc: Annotated[str | None, Field(pattern=r"^\d{4}$", description="ISO 18245 merchant category code")] = None
    url: Text | None = None
    created_at: UtcTime | None = None


class Account(Record):
    """That customer at one gateway instance.

    `at_gateway` is false where `id` names nothing that could be restricted: while a guarded call that creates the
    account has not reached the gateway, and where the gateway itself names only what several accounts share.
    """

    id: OpaqueId
    at_gateway: bool = True
    country: Country | None = None
    created_at: UtcTime | None = None
    charges_enabled: bool | None = None
    payouts_enabled: bool | None = None


class Payout(Record):
    """Money on its way to a merchant. `id` is absent while a guarded call has not reached the gateway."""

    id: OpaqueId | None = None
    amount: Money
    status: Text | None = None
    method: Text | None = None
    destination: Annotated[Text | None, Field(description="the gateway's id of the bank account or card")] = None
    automatic: bool | None = None
    arrival_at: UtcTime | None = None


class Dispute(Record):
    """A payer's claim against a payment. `payer` is the same token as the payment's."""

    id: OpaqueId
    amount: Money
    payment: OpaqueId | None = None
    payer: Text | None = None
    reason: Text | None = None
    status: Text | None = None
    network_reason_code: Text | None = None
    due_at: UtcTime | None = None


class Payment(Record):
    """A payment to a merchant, as context for aggregates. `payer` is a token or fingerprint, never a card number."""

    id: OpaqueId
    amount: Money
    payer: Text | None = None
    payer_country: Country | None = None
    payer_time_zone: TimeZone | None = None


class SubjectKind(StrEnum):
    """What an outcome can fall on."""

    MERCHANT = "merchant"
    ACCOUNT = "account"
    PAYOUT = "payout"
    DISPUTE = "dispute"


class Subject(Record):
    """What an outcome falls on: something with an id at one gateway instance."""

    instance: OpaqueId
    kind: SubjectKind
    id: OpaqueId
    account: OpaqueId

    def __str__(self) -> str:
        return f"{self.kind} {self.id} at {self.instance}"


# JSON punctuation keeps numbers apart, so scanning the whole text once finds every PAN that a walk would.
_MAY_HOLD_PAN = re.compile(r"\d(?:[ -]?\d){12}")


class Event(Record):
    """Something that happened, or is asked for, at a gateway.

    `id` is unique within `instance` and is what redeliveries are recognised by. `extra` keeps what the gateway said
    beyond this schema; nothing in the core interprets it.

    Raises:
        pydantic.ValidationError: on anything malformed, and on anything that looks like a card number; the error
            names the field and does not repeat the number.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    id: OpaqueId
    type: EventType | Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=64)]
    occurred_at: UtcTime
    gateway: OpaqueId
    instance: OpaqueId
    mode: Mode = Mode.LIVE
    account: Account
    merchant: Merchant = Merchant()
    payout: Payout | None = None
    dispute: Dispute | None = None
    payment: Payment | None = None
    identifiers: Annotated[tuple[Identifier, ...], Field(max_length=256)] = ()
    extra: dict[str, JsonValue] = {}

    @model_validator(mode="before")
    @classmethod
    def _shallow(cls, data: Any) -> Any:
        if isinstance(data, dict) and _deeper_than(data.get("extra"), MAX_EXTRA_DEPTH):
            raise ValueError(f"`extra` is nested deeper than {MAX_EXTRA_DEPTH} levels")
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        part: dict[str, Record | None] = {
            Stage.PAYOUT: self.payout,
            Stage.DISPUTE: self.dispute,
            Stage.PAYMENT: self.payment,
        }
        stage = self.stage
        if stage in part and part[stage] is None:
            raise ValueError(f"an event of type `{self.type}` needs `{stage}`")
        self._refuse_card_numbers()
        return self

    def _refuse_card_numbers(self) -> None:
        # An IBAN or a telephone number may pass the Luhn check by chance; both are recognisable by their kind.
        checked = [i for i in self.identifiers if i.kind not in (IdentifierKind.IBAN, IdentifierKind.PHONE)]
        text = self.model_dump_json(exclude={"identifiers", "schema_version"})
        if _MAY_HOLD_PAN.search(text):
            found = next(paths_of_card_numbers(self.model_dump(mode="json", exclude={"identifiers"})), None)
            if found is not None:
                raise ValueError(f"`{found}` looks like a card number, which is never taken; pass the gateway's token")
        for index, identifier in enumerate(self.identifiers):
            if identifier in checked and identifier.value and looks_like_card_number(identifier.value):
                raise ValueError(f"`identifiers[{index}]` looks like a card number, which is never taken")

    @property
    def stage(self) -> str:
        """The part of the type before the first full stop: `merchant`, `payout`, `dispute`, `payment` or another."""
        return self.type.split(".", 1)[0]

    @property
    def subject(self) -> Subject:
        """What an outcome of this event falls on."""
        kind, id_ = SubjectKind.ACCOUNT, self.account.id
        if self.stage == Stage.PAYOUT and self.payout is not None:
            kind, id_ = SubjectKind.PAYOUT, self.payout.id or self.id
        elif self.stage == Stage.DISPUTE and self.dispute is not None:
            kind, id_ = SubjectKind.DISPUTE, self.dispute.id
        return Subject(instance=self.instance, kind=kind, id=id_, account=self.account.id)

    @property
    def amount(self) -> Money | None:
        """The amount of the payout, dispute or payment this event is about."""
        part = self.payout or self.dispute or self.payment
        return part.amount if part else None


def _deeper_than(value: object, limit: int) -> bool:
    """Tell, without recursion, whether a JSON-like value is nested deeper than `limit`."""
    level: list[object] = [value]
    for _ in range(limit + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list | tuple)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
