"""Transfers to connected accounts and their reversals, as the simulated API treats them."""

from __future__ import annotations

from paycordon_stripe.simulator import shapes
from paycordon_stripe.simulator.calls import Call, matching, merged_metadata, page, positive
from paycordon_stripe.simulator.ledger import PLATFORM, Json, Ledger
from paycordon_stripe.simulator.problems import Problem, bad, missing, unknown

_INSUFFICIENT = "balance_insufficient"


def listed(call: Call) -> Json:
    """Return one page of the platform's transfers."""
    held = call.ledger.shelf("transfers", PLATFORM).values()
    return page(call, [_shown(each) for each in matching(call, held, "destination", "transfer_group")], "/v1/transfers")


def retrieve(call: Call) -> Json:
    """Return one transfer."""
    return _shown(_find(call))


def create(call: Call) -> Json:
    """Send money of the platform to a connected account.

    Raises:
        Problem: the account is not there, or the platform has not as much.
    """
    params = call.params
    if "amount" not in params:
        raise missing("amount")
    given = ("description", "metadata", "source_transaction", "source_type", "transfer_group")
    fields = {name: params[name] for name in given if name in params}
    amount, currency = positive(params["amount"]), params["currency"].lower()
    return _shown(send(call.ledger, params["destination"], amount, currency, **fields))


def send(ledger: Ledger, destination: str, amount: int, currency: str, **fields: object) -> Json:
    """Move money from the platform's balance to an account's, where it is available at once.

    Raises:
        Problem: the account is not there, or the platform has not as much.
    """
    ledger.account(destination)
    books = ledger.books.get(PLATFORM)
    if books is not None:
        if books.available(currency) < amount and not fields.get("source_transaction"):
            raise Problem(400, "You have insufficient available funds in your Stripe account.", code=_INSUFFICIENT)
        books.take(currency, amount, ledger.clock())
    if destination in ledger.books:
        ledger.books[destination].add(currency, amount, ledger.clock())
    new = shapes.made(
        "transfer",
        id=ledger.new_id("tr"),
        amount=amount,
        balance_transaction=ledger.new_id("txn"),
        created=ledger.now(),
        currency=currency,
        destination=destination,
        destination_payment=ledger.new_id("py"),
        livemode=ledger.livemode,
        **fields,
    )
    new["reversals"] = shapes.listing([], f"/v1/transfers/{new['id']}/reversals")
    ledger.changed(destination, f"transfers.{new['id']}", None, amount)
    return ledger.add("transfers", PLATFORM, new, "transfer.created")


def update(call: Call) -> Json:
    """Change a transfer's description or metadata."""
    held = _find(call)
    changes = {name: call.params[name] for name in ("description",) if name in call.params}
    changes["metadata"] = merged_metadata(held["metadata"], call.params.get("metadata"))
    return _shown(call.ledger.edit(PLATFORM, held, changes, "transfer.updated"))


def reversals(call: Call) -> Json:
    """Return one page of a transfer's reversals."""
    return page(call, _find(call)["reversals"]["data"], f"/v1/transfers/{call.id}/reversals")


def reverse(call: Call) -> Json:
    """Take money of a transfer back, all that is left by default.

    Raises:
        Problem: more is asked for than is left, or the account has not as much.
    """
    ledger, held = call.ledger, _find(call)
    left = held["amount"] - held["amount_reversed"]
    amount = positive(call.params.get("amount", left))
    if amount > left:
        raise bad("amount", f"Reversal amount ({amount}) is greater than unreversed amount on transfer ({left})")
    _move_back(ledger, held, amount)
    new = shapes.made(
        "transfer_reversal",
        id=ledger.new_id("trr"),
        amount=amount,
        balance_transaction=ledger.new_id("txn"),
        created=ledger.now(),
        currency=held["currency"],
        metadata=merged_metadata({}, call.params.get("metadata")),
        transfer=held["id"],
    )
    changes = {
        "amount_reversed": held["amount_reversed"] + amount,
        "reversals": shapes.listing([*held["reversals"]["data"], new], held["reversals"]["url"]),
        "reversed": amount == left,
    }
    ledger.changed(held["destination"], f"transfers.{held['id']}.amount_reversed", left - amount, left)
    ledger.edit(PLATFORM, held, changes, "transfer.reversed")
    return new


def retrieve_reversal(call: Call) -> Json:
    """Return one reversal."""
    transfer, id_ = call.ids
    held = call.ledger.find("transfers", PLATFORM, transfer)["reversals"]["data"]
    for each in held:
        if each["id"] == id_:
            found: Json = each
            return found
    raise unknown("reversal", id_)


def _move_back(ledger: Ledger, transfer: Json, amount: int) -> None:
    account, currency = transfer["destination"], transfer["currency"]
    books = ledger.books.get(account)
    if books is not None:
        if books.available(currency) < amount:
            text = "The connected account has insufficient funds to reverse this transfer."
            raise Problem(400, text, code=_INSUFFICIENT)
        books.take(currency, amount, ledger.clock())
    if PLATFORM in ledger.books:
        ledger.books[PLATFORM].add(currency, amount, ledger.clock())


def _find(call: Call) -> Json:
    return call.ledger.find("transfers", PLATFORM, call.id)


def _shown(held: Json) -> Json:
    # As everywhere, the newest of a list comes first.
    return {**held, "reversals": {**held["reversals"], "data": held["reversals"]["data"][::-1]}}
