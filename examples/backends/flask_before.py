"""A marketplace that pays its sellers through Stripe Connect: Flask.

flask --app flask_before run
"""

from __future__ import annotations

import os

import stripe
from flask import Flask, request

app = Flask(__name__)
client = stripe.StripeClient(
    os.environ["STRIPE_KEY"],
    base_addresses={"api": os.environ.get("STRIPE_API", "https://api.stripe.com")},
)


@app.post("/sellers")
def sign_up() -> tuple[dict[str, str], int]:
    seller = request.get_json()
    account = client.v1.accounts.create(
        {"type": "express", "email": seller["email"], "country": seller["country"]},
    )
    return {"account": account.id}, 201


@app.post("/sellers/<account>/payouts")
def pay_out(account: str) -> tuple[dict[str, str], int]:
    order = request.get_json()
    payout = client.v1.payouts.create(
        {"amount": order["amount"], "currency": order["currency"]},
        {"stripe_account": account, "idempotency_key": order["id"]},
    )
    return {"payout": payout.id, "status": payout.status}, 201


@app.errorhandler(Exception)
def failed(error: Exception) -> tuple[dict[str, str], int]:
    return {"error": "not possible at the moment"}, 503
