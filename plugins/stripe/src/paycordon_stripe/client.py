"""Build the SDK's client the way a worker needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stripe

if TYPE_CHECKING:
    from paycordon_stripe.gateway import StripeSettings

CONNECT_TIMEOUT_SECONDS = 5.0


def connect(settings: StripeSettings) -> stripe.StripeClient:
    """Return a client that never retries by itself: the core's driver does, knowing what each answer means.

    The SDK's telemetry (duration and id of the previous request, sent to Stripe with the next) is a switch of the whole
    process and left as the process has it.
    """
    timeout = (min(CONNECT_TIMEOUT_SECONDS, settings.timeout_seconds), settings.timeout_seconds)
    return stripe.StripeClient(
        settings.api_key.get_secret_value(),
        base_addresses={"api": settings.base_url.rstrip("/")} if settings.base_url else None,
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeout),
    )
