"""A marketplace that pays its sellers through Stripe Connect: Django, in one file.

python django_after.py runserver
"""

from __future__ import annotations

import json
import os
import secrets
import sys

import stripe
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from paycordon import Cordon
from paycordon_stripe import guard

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.Failing"],
)
client = stripe.StripeClient(
    os.environ["STRIPE_KEY"],
    base_addresses={"api": os.environ.get("STRIPE_API", "https://api.stripe.com")},
)
client = guard(client, Cordon.from_config("paycordon.yaml"), "stripe_eu")


def sign_up(request: HttpRequest) -> JsonResponse:
    seller = json.loads(request.body)
    account = client.v1.accounts.create(
        {"type": "express", "email": seller["email"], "country": seller["country"]},
    )
    return JsonResponse({"account": account.id}, status=201)


def pay_out(request: HttpRequest, account: str) -> JsonResponse:
    order = json.loads(request.body)
    payout = client.v1.payouts.create(
        {"amount": order["amount"], "currency": order["currency"]},
        {"stripe_account": account, "idempotency_key": order["id"]},
    )
    return JsonResponse({"payout": payout.id, "status": payout.status}, status=201)


class Failing:
    def __init__(self, respond):
        self.respond = respond

    def __call__(self, request: HttpRequest) -> JsonResponse:
        return self.respond(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> JsonResponse:
        return JsonResponse({"error": "not possible at the moment"}, status=503)


urlpatterns = [path("sellers", sign_up), path("sellers/<str:account>/payouts", pay_out)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
