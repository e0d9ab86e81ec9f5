"""What Stripe's events mean, in canonical events. Pure.

Stripe has no event for a new account: the first `account.updated` is it. So an `account.updated` is
`merchant.onboarding` when the merchant has just submitted its details, or cannot yet take payments and payouts without
ever having been able to; otherwise it is `merchant.changed`. An account that has just lost an ability is changed, not
new. The status of a payout is taken from the object, never from the name of the event.

Card numbers are looked for in what an event takes over, not in the rest of the payload: bank trace numbers and network
ids there are digits that pass the Luhn check by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from paycordon.adapting.fields import problems
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Event, EventType, Mode, Payout
from paycordon.gateways import ASKED_AS, Message, NotCarried
from paycordon_stripe.accounts import (
    account_of,
    facts_of,
    identifiers_of,
    identifiers_of_external_account,
    identifiers_of_person,
    merchant_of,
)
from paycordon_stripe.asked import asked_as
from paycordon_stripe.money import money_of
from paycordon_stripe.shapes import Node, object_of
from paycordon_stripe.translate_payments import READERS
from paycordon_stripe.translate_thin import V1, is_thin, reader_of

GATEWAY = "stripe"
_Fields = dict[str, Any]
_Reader = Callable[[Node], _Fields | None]


def translate(message: Message, instance: str, mode: Mode) -> list[Event]:
    """Say what a message means at an instance of a mode; unknown types and the other mode yield nothing.

    Raises:
        NotCarried: what the message is about has to be fetched first.
        PayloadInvalid: a known type that cannot be read, or that carries a card number.
    """
    thin = is_thin(message)
    reader = _reader_of_thin(message.type) if thin else _READERS.get(message.type)
    if reader is None:
        return []
    envelope = Node(message.body, "event")
    livemode = envelope.flag("livemode")
    if livemode is None:
        raise PayloadInvalid("`event.livemode` is missing")
    if livemode is not (mode is Mode.LIVE):
        return []
    try:
        fields = reader(envelope)
        return [_event(message, envelope, instance, mode, fields)] if fields else []
    except ValidationError as error:
        raise PayloadInvalid(f"the event cannot be taken over: {problems(error)}") from None


def _reader_of_thin(type_: str) -> _Reader | None:
    if type_.startswith(V1):
        return _fetched_first if type_.removeprefix(V1) in _READERS else None
    return reader_of(type_)


def _fetched_first(_: Node) -> _Fields | None:
    raise NotCarried("a thin event names its object only")


def _event(message: Message, envelope: Node, instance: str, mode: Mode, fields: _Fields) -> Event:
    occurred_at = envelope.moment("created") if is_thin(message) else envelope.time("created")
    if occurred_at is None:
        raise PayloadInvalid("`event.created` is missing")
    extra = {"stripe_type": message.type, **fields.pop("extra", {})}
    return Event(
        id=message.id,
        occurred_at=occurred_at,
        gateway=GATEWAY,
        instance=instance,
        mode=mode,
        extra=extra,
        **fields,
    )


def _account_updated(envelope: Node) -> _Fields:
    account = object_of(envelope)
    id_ = account.needed_text("id")
    if envelope.text("account") not in (None, id_):
        raise PayloadInvalid("`event.account` is not the account that the event is about")
    previous = envelope.child("data").child("previous_attributes")
    return {
        "type": EventType.MERCHANT_ONBOARDING if _is_onboarding(account, previous) else EventType.MERCHANT_CHANGED,
        "account": account_of(account, id_),
        "merchant": merchant_of(account),
        "identifiers": identifiers_of(account),
        "extra": {**facts_of(account), "changed": previous.keys()[:64]},
    }


def _is_onboarding(account: Node, previous: Node) -> bool:
    if previous.flag("details_submitted") is False and account.flag("details_submitted"):
        return True
    if previous.flag("charges_enabled") or previous.flag("payouts_enabled"):
        return False
    return not (account.flag("charges_enabled") and account.flag("payouts_enabled"))


def _application_authorized(envelope: Node) -> _Fields | None:
    # The object is our own application; who connected it stands in the envelope only.
    account = envelope.text("account")
    return {"type": EventType.MERCHANT_ONBOARDING, "account": Account(id=account)} if account else None


def _part_of_account(identifiers: Callable[[Node], Any], kind: str) -> _Reader:
    """Make a reader for a change of something that belongs to an account."""

    def read(envelope: Node) -> _Fields | None:
        part = object_of(envelope)
        account = envelope.text("account") or part.reference("account")
        if account is None:
            return None
        return {
            "type": EventType.MERCHANT_CHANGED,
            "account": Account(id=account),
            "identifiers": identifiers(part),
            "extra": {"changed": [kind]},
        }

    return read


def _payout(type_: EventType) -> _Reader:
    def read(envelope: Node) -> _Fields | None:
        account = envelope.text("account")
        if account is None:
            return None  # the platform's own money
        payout = payout_of(object_of(envelope))
        return {"type": type_, "account": Account(id=account), "payout": payout, "extra": asked(envelope, payout)}

    asked = _asked if type_ is EventType.PAYOUT_REQUESTED else lambda *_: {}
    return read


def _asked(envelope: Node, payout: Payout) -> dict[str, Any]:
    # By older versions of the API, the request is an id only.
    key, account = envelope.expanded("request").text("idempotency_key"), envelope.text("account")
    if key is None or account is None or payout.automatic is not False:
        return {}
    return {ASKED_AS: asked_as(account, key, payout, object_of(envelope).reference("payout_method"))}


def payout_of(node: Node) -> Payout:
    """Return a Stripe payout.

    Raises:
        PayloadInvalid: it cannot be read.
    """
    return Payout(
        id=node.needed_text("id"),
        amount=money_of(node),
        status=node.text("status"),
        method=node.text("method"),
        destination=node.reference("destination"),
        automatic=node.flag("automatic"),
        arrival_at=node.time("arrival_date"),
    )


def _transfer(envelope: Node) -> _Fields | None:
    transfer = object_of(envelope)
    account = transfer.reference("destination")
    if envelope.text("account") is not None or account is None:
        return None
    return {"type": EventType.PAYOUT_UPDATED, "account": Account(id=account), "payout": transfer_of(transfer)}


def transfer_of(node: Node) -> Payout:
    """Return a transfer from the platform to an account; it was made at once, and may be taken back.

    Raises:
        PayloadInvalid: it cannot be read.
    """
    back = node.integer("amount_reversed") or 0
    whole = bool(node.flag("reversed"))
    return Payout(
        id=node.needed_text("id"),
        amount=money_of(node),
        status="reversed" if whole else "partially_reversed" if back else "paid",
        method="transfer",
        destination=node.reference("destination"),
        automatic=False,
    )


def _capability(envelope: Node) -> _Fields | None:
    capability = object_of(envelope)
    account = envelope.text("account") or capability.reference("account")
    if account is None:
        return None
    requirements = capability.child("requirements")
    facts = {"status": capability.text("status"), "disabled_reason": requirements.text("disabled_reason")}
    extra = {"changed": ["capability"], "capability": capability.needed_text("id")}
    known = {name: text for name, text in facts.items() if text}
    return {"type": EventType.MERCHANT_CHANGED, "account": Account(id=account), "extra": {**extra, **known}}


def _of_account(what: str) -> _Reader:
    """Make a reader for what only the envelope ties to an account."""

    def read(envelope: Node) -> _Fields | None:
        account = envelope.text("account")
        if account is None:
            return None
        return {"type": EventType.MERCHANT_CHANGED, "account": Account(id=account), "extra": {"changed": [what]}}

    return read


_external_account = _part_of_account(identifiers_of_external_account, "external_account")
_person = _part_of_account(identifiers_of_person, "person")
_payout_updated = _payout(EventType.PAYOUT_UPDATED)

_READERS: Mapping[str, _Reader] = {
    "account.updated": _account_updated,
    "account.application.authorized": _application_authorized,
    "account.application.deauthorized": _of_account("application"),
    "account.external_account.created": _external_account,
    "account.external_account.updated": _external_account,
    "account.external_account.deleted": _external_account,
    "balance_settings.updated": _of_account("balance_settings"),
    "capability.updated": _capability,
    "person.created": _person,
    "person.updated": _person,
    "person.deleted": _person,
    "payout.created": _payout(EventType.PAYOUT_REQUESTED),
    "payout.updated": _payout_updated,
    "payout.paid": _payout_updated,
    "payout.failed": _payout_updated,
    "payout.canceled": _payout_updated,
    "transfer.created": _transfer,
    "transfer.updated": _transfer,
    "transfer.reversed": _transfer,
    **READERS,
}
TRANSLATED_TYPES = tuple(sorted(_READERS))
"""The event types to subscribe an endpoint to."""
