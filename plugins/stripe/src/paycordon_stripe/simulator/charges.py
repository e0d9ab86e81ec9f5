"""Card payments and refunds, as the simulated API treats them. Nobody takes a fee here."""

from __future__ import annotations

from datetime import timedelta

from paycordon.simulation.timeline import next_midnight
from paycordon_stripe.simulator import balances, shapes, transfers
from paycordon_stripe.simulator.calls import Call, matching, merged_metadata, page, positive
from paycordon_stripe.simulator.ledger import PLATFORM, Json, Ledger
from paycordon_stripe.simulator.problems import Problem, bad, missing

_GIVEN = ("customer", "description", "metadata", "on_behalf_of", "transfer_data", "transfer_group")
DECLINED = ("chargeDeclined", "visa_chargeDeclined")


def listed(call: Call) -> Json:
    """Return one page of the charges of an account or the platform."""
    held = call.ledger.shelf("charges", call.owner).values()
    return page(call, matching(call, held, "customer", "payment_intent", "transfer_group"), "/v1/charges")


def retrieve(call: Call) -> Json:
    """Return one charge."""
    return call.ledger.find("charges", call.owner, call.id)


def create(call: Call) -> Json:
    """Take a payment.

    Raises:
        Problem: the card is declined, or the account may not take cards.
    """
    params = call.params
    for name in ("amount", "currency"):
        if name not in params:
            raise missing(name)
    fields = {name: params[name] for name in _GIVEN if name in params}
    source = str(params.get("source") or "tok_visa")
    return take(call.ledger, call.owner, positive(params["amount"]), params["currency"].lower(), source, **fields)


def take(ledger: Ledger, owner: str, amount: int, currency: str, source: str, **fields: object) -> Json:
    """Charge a card; the money is pending until the account's delay is over.

    Raises:
        Problem: the card is declined, or the account may not take cards.
    """
    if owner != PLATFORM and not ledger.account(owner)["charges_enabled"]:
        raise Problem(400, "Your account cannot currently make live charges.", code="charge_not_allowed")
    if source.endswith(DECLINED):
        raise Problem(402, "Your card was declined.", type_="card_error", code="card_declined")
    new = shapes.made(
        "charge",
        id=ledger.new_id("ch"),
        amount=amount,
        amount_captured=amount,
        balance_transaction=ledger.new_id("txn"),
        captured=True,
        created=ledger.now(),
        currency=currency,
        livemode=ledger.livemode,
        payment_method=source,
        **fields,
    )
    new["payment_method_details"]["card"]["fingerprint"] = f"fp{source}"
    new["refunds"] = shapes.listing([], f"/v1/charges/{new['id']}/refunds")
    _expect(ledger, owner, amount, currency)
    ledger.add("charges", owner, new, "charge.succeeded")
    data = new["transfer_data"]
    if data:
        sent = data.get("amount") or amount
        transfers.send(ledger, data["destination"], sent, currency, source_transaction=new["id"])
    return new


def _expect(ledger: Ledger, owner: str, amount: int, currency: str) -> None:
    if owner in ledger.books:
        days = timedelta(days=balances.schedule_of(ledger, owner)["delay_days"] - 1)
        ledger.books[owner].expect(currency, amount, next_midnight(ledger.clock()) + days)


def list_refunds(call: Call) -> Json:
    """Return one page of the refunds of an account or the platform."""
    held = call.ledger.shelf("refunds", call.owner).values()
    return page(call, matching(call, held, "charge", "payment_intent"), "/v1/refunds")


def retrieve_refund(call: Call) -> Json:
    """Return one refund."""
    return call.ledger.find("refunds", call.owner, call.id)


def refund(call: Call) -> Json:
    """Give a payment back, all that is left by default; a full refund settles what hangs on the charge.

    Raises:
        Problem: there is no such charge, it is disputed, or less is left.
    """
    ledger, owner, params = call.ledger, call.owner, call.params
    charge = _charge_of(call)
    left = charge["amount"] - charge["amount_refunded"]
    if charge["disputed"]:
        raise Problem(400, "Charge has been charged back; cannot issue a refund.", code="charge_disputed")
    if left == 0:
        raise Problem(400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount = positive(params.get("amount", left))
    if amount > left:
        raise bad("amount", f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})")
    new = shapes.made(
        "refund",
        id=ledger.new_id("re"),
        amount=amount,
        balance_transaction=ledger.new_id("txn"),
        charge=charge["id"],
        created=ledger.now(),
        currency=charge["currency"],
        metadata=merged_metadata({}, params.get("metadata")),
        payment_intent=charge["payment_intent"],
        reason=params.get("reason"),
    )
    if owner in ledger.books:
        ledger.books[owner].take(charge["currency"], amount, ledger.clock())
    ledger.add("refunds", owner, new, "refund.created")
    changes = {
        "amount_refunded": charge["amount_refunded"] + amount,
        "refunded": amount == left,
        "refunds": shapes.listing([new, *charge["refunds"]["data"]], charge["refunds"]["url"]),
    }
    if params.get("reason") == "fraudulent":
        changes["fraud_details"] = {"user_report": "fraudulent"}
    ledger.edit(owner, charge, changes, "charge.refunded")
    if charge["refunded"]:
        _settle_warnings(ledger, owner, charge, fraud=params.get("reason") == "fraudulent")
    return new


def _settle_warnings(ledger: Ledger, owner: str, charge: Json, *, fraud: bool) -> None:
    for warning in ledger.shelf("early_fraud_warnings", owner).values():
        if warning["charge"] == charge["id"]:
            ledger.edit(owner, warning, {"actionable": False}, "radar.early_fraud_warning.updated")
    reason = "refunded_as_fraud" if fraud else "refunded"
    for review in ledger.shelf("reviews", owner).values():
        if review["charge"] == charge["id"] and review["open"]:
            ledger.edit(owner, review, {"open": False, "closed_reason": reason, "reason": reason}, "review.closed")


def _charge_of(call: Call) -> Json:
    ledger, params = call.ledger, call.params
    if params.get("charge"):
        return ledger.find("charges", call.owner, params["charge"])
    if params.get("payment_intent"):
        intent = ledger.find("payment_intents", call.owner, params["payment_intent"])
        if intent["latest_charge"]:
            return ledger.find("charges", call.owner, intent["latest_charge"])
        raise Problem(400, "This PaymentIntent does not have a successful charge to refund.")
    raise missing("charge")
