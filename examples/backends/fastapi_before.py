"""A marketplace that pays its sellers through Stripe Connect: FastAPI and the SDK's asynchronous calls.

uvicorn fastapi_before:app
"""

from __future__ import annotations

import os

import stripe
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

app = FastAPI()
client = stripe.StripeClient(
    os.environ["STRIPE_KEY"],
    base_addresses={"api": os.environ.get("STRIPE_API", "https://api.stripe.com")},
    http_client=stripe.HTTPXClient(),
)


class Seller(BaseModel):
    email: str
    country: str


class PayoutOrder(BaseModel):
    id: str
    amount: int
    currency: str


@app.post("/sellers", status_code=201)
async def sign_up(seller: Seller) -> dict[str, str]:
    account = await client.v1.accounts.create_async(
        {"type": "express", "email": seller.email, "country": seller.country},
    )
    return {"account": account.id}


@app.post("/sellers/{account}/payouts", status_code=201)
async def pay_out(account: str, order: PayoutOrder) -> dict[str, str]:
    payout = await client.v1.payouts.create_async(
        {"amount": order.amount, "currency": order.currency},
        {"stripe_account": account, "idempotency_key": order.id},
    )
    return {"payout": payout.id, "status": payout.status}


@app.exception_handler(Exception)
async def failed(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "not possible at the moment"}, status_code=503)
