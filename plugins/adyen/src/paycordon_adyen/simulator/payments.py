"""Payments as far as they are told of: notifications, and the money that reaches a balance account or leaves it."""

from __future__ import annotations

from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.moving import add_event, make
from paycordon_adyen.simulator.problems import Problem

_STATUS = {  # what the transfer of a platform payment is called when it has been made
    "capture": "captured",
    "refund": "refunded",
    "chargeback": "chargeback",
    "chargebackReversal": "chargebackReversed",
    "secondChargeback": "secondChargeback",
}
_COMES_IN = ("capture", "chargebackReversal")


def pay(
    ledger: Ledger, account: str, amount: Json, *, method: str = "visa", merchant: str = "", **additional: str
) -> Json:
    """Let a payer pay for what an account holder sells, into one of its balance accounts.

    Args:
        ledger: the state.
        account: the balance account.
        amount: currency and value.
        method: Adyen's name of the payment method.
        merchant: the code of the merchant account that takes it, if not the simulator's own.
        additional: further `additionalData` of the notification.

    Raises:
        Problem: there is no such account, or its holder may not take payments.
    """
    holder = ledger.holder_of(account)
    held = holder["capabilities"].get("receivePayments", {})
    if holder["status"] == "closed" or not (held.get("enabled") and held.get("allowed")):
        raise Problem(422, "the account holder may not receive payments", code="30_006")
    payment: Json = {
        "id": ledger.new_reference(),
        "account": account,
        "holder": holder["id"],
        "amount": dict(amount),
        "merchant": merchant or ledger.merchant,
        "method": method,
        "reference": f"order-{ledger.next_number('order')}",
        "refunded": 0,
    }
    ledger.put("payments", payment)
    ledger.notify(
        {
            **_common(payment, "AUTHORISATION"),
            "additionalData": {"cardIssuingCountry": "NL", **additional},
            "operations": ["CANCEL", "CAPTURE", "REFUND"],
            "pspReference": payment["id"],
            "reason": "",
        },
        holder["id"],
    )
    move(ledger, payment, "capture", amount["value"], payment["id"])
    return payment


def refund(ledger: Ledger, payment: Json, value: int) -> str:
    """Refund a payment or a part of it, and return the refund's reference.

    Raises:
        Problem: less of it is left.
    """
    if not 0 < value <= payment["amount"]["value"] - payment["refunded"]:
        raise Problem(422, "the amount is not left of the payment", code="30_031")
    payment["refunded"] += value
    reference = ledger.new_reference()
    item = {
        **_common(payment, "REFUND", value),
        "originalReference": payment["id"],
        "pspReference": reference,
        "reason": "",
    }
    ledger.notify(item, payment["holder"])
    move(ledger, payment, "refund", value, reference)
    return reference


def about(payment: Json, code: str, value: int, reference: str, reason: str, additional: Json) -> Json:
    """Return a notification of a dispute about a payment."""
    return {
        **_common(payment, code, value),
        "additionalData": additional,
        "originalReference": payment["id"],
        "pspReference": reference,
        "reason": reason,
    }


def move(ledger: Ledger, payment: Json, type_: str, value: int, reference: str) -> None:
    """Move a payment's money into its balance account or out of it, and tell of it by a transfer."""
    sign = 1 if type_ in _COMES_IN else -1
    amount = {"currency": payment["amount"]["currency"], "value": value}
    direction = "incoming" if type_ in _COMES_IN else "outgoing"
    category_data = {
        "modificationPspReference": reference,
        "paymentMerchantReference": payment["reference"],
        "platformPaymentType": "BalanceAccount",
        "pspPaymentReference": payment["id"],
        "type": "platformPayment",
    }
    transfer = make(
        ledger, payment["account"], amount, "platformPayment", direction, type_, {}, categoryData=category_data
    )
    signed = sign * value
    add_event(ledger, transfer, "received", "pending", received=signed)
    add_event(ledger, transfer, "authorised", "approved", received=-signed, reserved=signed)
    add_event(ledger, transfer, _STATUS[type_], "approved", reserved=-signed, balance=signed)
    if sign > 0:
        ledger.arrived(payment["account"])


def _common(payment: Json, code: str, value: int | None = None) -> Json:
    amount = payment["amount"] if value is None else {**payment["amount"], "value": value}
    return {
        "amount": amount,
        "eventCode": code,
        "merchantAccountCode": payment["merchant"],
        "merchantReference": payment["reference"],
        "paymentMethod": payment["method"],
    }
