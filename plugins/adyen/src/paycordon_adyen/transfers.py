"""What transfers of the balance platform mean. Pure.

Only money that leaves the platform is a payout: category `bank` or `card`, direction `outgoing`. Transfers between
balance accounts are not, whatever their status is called. What payers pay, get back and dispute comes as transfers of
category `platformPayment`, one for each balance account that the payment was split to; fees and commissions are not a
merchant's payments. The status is kept in Adyen's own word, and never taken from the name of the webhook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paycordon.adapting.fields import Node
from paycordon.adapting.guarding import made_as
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Dispute, EventType, Payment, Payout
from paycordon.gateways import ASKED_AS
from paycordon_adyen.accounts import identifiers_of_bank_account
from paycordon_adyen.money import money_of
from paycordon_adyen.sources import Fields, Sources

LEAVING = ("bank", "card")
"""Categories of transfers that leave the platform."""

WAITS_FOR_APPROVAL = ("pendingApproval", "approvalPending")
"""Statuses of a transfer under review: `approve_transfer` or `cancel_transfer` ends it, and 30 days do."""

_MERCHANTS = (None, "BalanceAccount", "Default", "Remainder", "ChargebackRemainder")
"""Kinds of platform payments that are a merchant's share; the others are fees, taxes and commissions."""

_DISPUTES: Mapping[str, str] = {
    "chargeback": "chargeback",
    "chargebackCorrection": "chargeback_corrected",
    "chargebackReversal": "chargeback_reversed",
    "chargebackReversalCorrection": "chargeback_reversal_corrected",
    "secondChargeback": "second_chargeback",
    "secondChargebackCorrection": "second_chargeback_corrected",
}
"""What a transfer's type says of the dispute that it moves money for."""

_OPENS_DISPUTE = "chargeback"


def read_transfer(envelope: Node, *, created: bool, sources: Sources) -> Fields | None:
    """Say what a transfer webhook means; nothing if it is neither a payout nor about a payment.

    Raises:
        PayloadInvalid: it cannot be read.
    """
    transfer = envelope.child("data")
    category, type_ = transfer.text("category"), transfer.text("type")
    account = transfer.child("accountHolder").text("id")
    if account is None or account in sources.own_account_holders:
        return None
    fields: Fields | None = None
    if category in LEAVING and transfer.text("direction") == "outgoing":
        event_type = EventType.PAYOUT_REQUESTED if created else EventType.PAYOUT_UPDATED
        fields = {"type": event_type, "payout": payout_of(transfer), "identifiers": _payee(transfer)}
    elif category == "platformPayment" and _is_merchants(transfer):
        fields = _dispute(transfer, sources) if type_ in _DISPUTES else _payment(transfer, type_, sources)
    if fields is None:
        return None
    payout = fields.get("payout")
    asked_as = [made_as(payout.id)] if payout is not None and created else None
    extra = {
        ASKED_AS: asked_as,
        "sequence": transfer.integer("sequenceNumber"),
        "transfer_type": type_,
        "reason": transfer.text("reason"),
        "balance_account": transfer.child("balanceAccount").text("id"),
        "review": transfer.child("review").integer("numberOfApprovalsRequired"),
    }
    return {"account": Account(id=account), "extra": _there(extra), **fields}


def payout_of(transfer: Node) -> Payout:
    """Return a transfer that leaves the platform as a payout.

    Raises:
        PayloadInvalid: it cannot be read.
    """
    counterparty = transfer.child("counterparty")
    return Payout(
        id=transfer.needed_text("id"),
        amount=money_of(transfer),
        status=transfer.text("status"),
        method=transfer.child("categoryData").text("priority") or transfer.text("category"),
        destination=counterparty.text("transferInstrumentId"),
        arrival_at=None,
    )


def _payee(transfer: Node) -> tuple[Any, ...]:
    return identifiers_of_bank_account(transfer.child("counterparty").child("bankAccount"))


def _is_merchants(transfer: Node) -> bool:
    return transfer.child("categoryData").text("platformPaymentType") in _MERCHANTS


def _payment(transfer: Node, type_: str | None, sources: Sources) -> Fields | None:
    status = transfer.text("status")
    if not sources.payments_are_transfers:
        return None
    if type_ == "capture" and status == "captured":
        event_type = EventType.PAYMENT_SUCCEEDED
    elif type_ == "refund" and status == "refunded":
        event_type = EventType.PAYMENT_REFUNDED
    elif type_ == "refundReversal" and status == "refundReversed":
        event_type = EventType.PAYMENT_REFUND_FAILED
    else:
        return None  # on its way there, or undone
    payment = Payment(id=_payment_reference(transfer), amount=money_of(transfer))
    return {"type": event_type, "payment": payment}


def _dispute(transfer: Node, sources: Sources) -> Fields:
    type_ = transfer.needed_text("type")
    dispute = Dispute(
        id=transfer.child("categoryData").text("modificationPspReference") or transfer.needed_text("id"),
        amount=money_of(transfer),
        payment=transfer.child("categoryData").text("pspPaymentReference"),
        status=f"{_DISPUTES[type_]}:{transfer.needed_text('status')}",
    )
    opens = sources.disputes_are_transfers and type_ == _OPENS_DISPUTE
    fields: Fields = {"type": EventType.DISPUTE_OPENED if opens else EventType.DISPUTE_UPDATED, "dispute": dispute}
    if opens:
        # Each of its statuses opens the same dispute of the same account, which counts once.
        fields["id"] = f"opened:{dispute.id}:{transfer.child('accountHolder').needed_text('id')}"
    return fields


def _payment_reference(transfer: Node) -> str:
    found = transfer.child("categoryData").text("pspPaymentReference")
    if found is None:
        raise PayloadInvalid("`event.data.categoryData.pspPaymentReference` is missing")
    return found


def _there(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
