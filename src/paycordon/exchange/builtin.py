"""The built-in formats of recipients and inquiries, registered through the same hook as everybody's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paycordon.exchange.contract import Recipient
from paycordon.exchange.inquiry import Inquiry
from paycordon.hookspecs import hookimpl


@hookimpl
def register_recipients() -> Iterable[type[Recipient[Any]]]:
    """Register them."""
    from paycordon.exchange.bundle import BundleRecipient
    from paycordon.exchange.match.listing import MatchRecipient
    from paycordon.exchange.post import PostRecipient
    from paycordon.exchange.threatexchange import ThreatExchangeRecipient

    return [BundleRecipient, MatchRecipient, PostRecipient, ThreatExchangeRecipient]


@hookimpl
def register_inquiries() -> Iterable[type[Inquiry[Any]]]:
    """Register them."""
    from paycordon.exchange.match.asking import MatchInquiry

    return [MatchInquiry]
