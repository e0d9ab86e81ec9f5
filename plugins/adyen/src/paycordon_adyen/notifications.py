"""What notifications about payments and disputes mean: https://docs.adyen.com/development-resources/webhooks. Pure.

They name a merchant account, which on a platform many merchants share. Whose a dispute is is taken, in this order, from
the configured merchant accounts (a signed field), the configured stores, the payment's metadata, and the split (three
fields that the signature does not cover). Where none of them says it, Adyen is asked (`fetching`); and where that does
not help either, the event is about the merchant account, as something that cannot be restricted at Adyen: it is judged
and put before people, who know better.

A dispute has one reference in all its notifications, and its first one opens it, whichever that is. What it is about,
its reason and its deadline are not signed, and are marked as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from paycordon.adapting.fields import Node
from paycordon.adapting.naming import fitted
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Dispute, EventType, Payment
from paycordon.gateways import NotCarried
from paycordon_adyen.ids import is_account_holder, is_balance_account
from paycordon_adyen.money import money_of
from paycordon_adyen.sources import Fields, Sources

MAX_SPLIT = 5
"""How many balance accounts of a split are asked for their account holders."""

_SPLIT = re.compile(r"split\.item[0-9]{1,4}\.(?:account|accountHolder)", re.ASCII)

_OPENING = {
    "REQUEST_FOR_INFORMATION": "information_requested",
    "NOTIFICATION_OF_CHARGEBACK": "chargeback_announced",
    "CHARGEBACK": "chargeback",
}
_WARNING = {"NOTIFICATION_OF_FRAUD": "fraud_reported"}
"""TC40 and SAFE reports: an issuer's word that there was fraud, with no money taken back yet."""

_GOING_ON = {
    "CHARGEBACK_REVERSED": "chargeback_reversed",
    "SECOND_CHARGEBACK": "second_chargeback",
    "PREARBITRATION_OPEN": "prearbitration_open",
    "PREARBITRATION_WON": "prearbitration_won",
    "PREARBITRATION_LOST": "prearbitration_lost",
    "PREARBITRATION_ACCEPTED": "prearbitration_accepted",
    "PREARBITRATION_DECLINED": "prearbitration_declined",
    "PREARBITRATION_ISSUER_WITHDRAWN": "prearbitration_withdrawn",
    "SCHEME_ARBITRATION": "scheme_arbitration",
    "SCHEME_ARBITRATION_WON": "scheme_arbitration_won",
    "SCHEME_ARBITRATION_LOST": "scheme_arbitration_lost",
    "DISPUTE_DEFENSE_PERIOD_ENDED": "defense_period_ended",
    "INFORMATION_SUPPLIED": "information_supplied",
    "ISSUER_COMMENTS": "issuer_commented",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "issuer_did_not_respond",
}
_Reader = Callable[[Node, Sources, Node | None], list[Fields]]


class _Whose(NamedTuple):
    account: Account
    by: str


def balance_accounts_of(item: Node) -> list[str]:
    """Return the balance accounts that a payment was split to, at most `MAX_SPLIT`.

    Raises:
        PayloadInvalid: the item is not of the form of one.
    """
    return sorted(value for value in _split(item) if is_balance_account(value))[:MAX_SPLIT]


def _split(item: Node) -> set[str]:
    found = item.child("additionalData").fields().items()
    return {value for key, value in found if _SPLIT.fullmatch(str(key)) and isinstance(value, str)}


def _whose(item: Node, sources: Sources, fetched: Node | None) -> _Whose:
    code = item.needed_text("merchantAccountCode")
    additional = item.child("additionalData")
    if code in sources.merchant_accounts:
        return _Whose(Account(id=sources.merchant_accounts[code]), "merchant_account")
    store = additional.text("store")
    if store is not None and store in sources.stores:
        return _Whose(Account(id=sources.stores[store]), "store")
    named = additional.text(f"metadata.{sources.account_metadata_key}")
    if named is not None and is_account_holder(named):
        return _Whose(Account(id=named), "metadata")
    holders = {each for each in _split(item) if is_account_holder(each)}
    if len(holders) == 1:
        return _Whose(Account(id=holders.pop()), "split")
    if fetched is None and (balance_accounts_of(item) or sources.finds_disputed):
        raise NotCarried("the notification does not say whose it is")
    found = fetched.text("accountHolder") if fetched is not None else None
    return _Whose(Account(id=found), "adyen") if found else _Whose(Account(id=code, at_gateway=False), "nobody")


def _fields(item: Node, whose: _Whose, type_: EventType, **parts: Any) -> Fields:
    additional = item.child("additionalData")
    extra = {
        "attributed_by": whose.by,
        "merchant_account": item.text("merchantAccountCode"),
        "merchant_reference": fitted(item.text("merchantReference")),
        "payment_method": fitted(item.text("paymentMethod") or additional.text("paymentMethodVariant")),
    }
    return {"type": type_, "account": whose.account, **parts, "extra": {k: v for k, v in extra.items() if v}}


def _disputed(code: str) -> _Reader:
    status = {**_WARNING, **_OPENING, **_GOING_ON}[code]

    def read(item: Node, sources: Sources, fetched: Node | None) -> list[Fields]:
        dispute = _dispute_of(item, status)
        whose = _whose(item, sources, fetched)
        if whose.account.id in sources.own_account_holders:
            return []
        type_ = EventType.DISPUTE_WARNED if code in _WARNING else EventType.DISPUTE_UPDATED
        updated = _fields(item, whose, type_, dispute=dispute)
        updated["extra"] |= {"unsigned": ["reason", "due_at", "network_reason_code", "outcome"], **_outcome(item)}
        if sources.disputes_are_transfers or code not in _OPENING:
            return [updated]
        # All notifications that may open a dispute open the same one, so that it counts once.
        opened = {**updated, "type": EventType.DISPUTE_OPENED, "id": f"opened:{dispute.id}"}
        return [opened, updated]

    return read


def _dispute_of(item: Node, status: str) -> Dispute:
    additional = item.child("additionalData")
    return Dispute(
        id=item.needed_text("pspReference"),
        amount=money_of(item),
        payment=item.text("originalReference"),
        payer=fitted(additional.text("shopperReference")),
        reason=fitted(item.text("reason")),
        status=status,
        network_reason_code=fitted((additional.text("chargebackReasonCode") or "").strip()),
        due_at=additional.moment("defensePeriodEndsAt"),
    )


def _outcome(item: Node) -> dict[str, str]:
    # Never taken from the code alone: a dispute whose defence period has ended may be won, lost or accepted.
    said = item.child("additionalData").text("disputeStatus")
    return {"outcome": fitted(said) or ""} if said else {}


def _payment(succeeded: EventType, failed: EventType | None = None) -> _Reader:
    """Make a reader of what has become of a payment or refund; refunds name the payment that they are of."""

    def read(item: Node, sources: Sources, fetched: Node | None) -> list[Fields]:
        type_ = succeeded if item.text("success") == "true" else failed
        if sources.payments_are_transfers or type_ is None:
            return []
        additional = item.child("additionalData")
        payment = Payment(
            id=item.text("originalReference") or item.needed_text("pspReference"),
            amount=money_of(item),
            payer=fitted(additional.text("alias") or additional.text("shopperReference")),
            payer_country=_payer_country(additional),
        )
        whose = _whose(item, sources, fetched)
        own = whose.account.id in sources.own_account_holders
        return [] if own else [_fields(item, whose, type_, payment=payment)]

    return read


def _payer_country(additional: Node) -> str | None:
    code = (
        additional.text("cardIssuingCountry") or additional.text("issuerCountry") or additional.text("shopperCountry")
    )
    return code if code and re.fullmatch(r"[A-Z]{2}", code, re.ASCII) else None


READERS: Mapping[str, _Reader] = {
    **{code: _disputed(code) for code in (*_WARNING, *_OPENING, *_GOING_ON)},
    "AUTHORISATION": _payment(EventType.PAYMENT_SUCCEEDED, EventType.PAYMENT_FAILED),
    "REFUND": _payment(EventType.PAYMENT_REFUNDED, EventType.PAYMENT_REFUND_FAILED),
    "REFUND_FAILED": _payment(EventType.PAYMENT_REFUND_FAILED),
    "REFUNDED_REVERSED": _payment(EventType.PAYMENT_REFUND_FAILED),
    "MANUAL_REVIEW_ACCEPT": _payment(EventType.PAYMENT_REVIEWED),
    "MANUAL_REVIEW_REJECT": _payment(EventType.PAYMENT_REVIEWED),
}
"""Event codes that mean something here."""


def read_notification(code: str, item: Node, sources: Sources, fetched: Node | None) -> list[Fields]:
    """Say what an item of a notification means.

    Args:
        code: the event code.
        item: what it says.
        sources: what the configuration says of whose it is.
        fetched: what was found out about whose it is; none if nobody has looked.

    Raises:
        NotCarried: somebody has to look.
        PayloadInvalid: it cannot be read.
    """
    reader = READERS.get(code)
    if reader is None:
        return []
    if item.text("eventCode") not in (None, code):
        raise PayloadInvalid("`eventCode` is not the type of the message")
    return reader(item, sources, fetched)
