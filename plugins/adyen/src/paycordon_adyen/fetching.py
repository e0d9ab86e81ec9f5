"""Whose a message is that names only a part of an account holder, or what several share.

Sweeps and payout schedules name their balance account; a dispute may name only a merchant account and the split of its
payment. `translate` says so with `NotCarried`, and here the account holder is found and put beside what was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import Adyen

from paycordon.adapting.fields import Node
from paycordon.errors import PayloadInvalid, Refused
from paycordon.gateways import Message
from paycordon_adyen.deliveries import ITEM
from paycordon_adyen.errors import reading
from paycordon_adyen.ids import in_path, is_account_holder, is_balance_account
from paycordon_adyen.listing import transfers_of
from paycordon_adyen.notifications import balance_accounts_of
from paycordon_adyen.sources import FETCHED
from paycordon_adyen.translate import balance_account_of

AROUND = timedelta(days=2)
"""How far from a dispute's notification the transfer that takes its money is looked for."""


def fetch(sdk: Adyen.Adyen, message: Message, balance_platform: str | None, own: frozenset[str]) -> Message:
    """Return the message with its account holder; see `paycordon.gateways.Gateway.fetch`.

    Raises:
        RetryLater, Refused: Adyen cannot be read.
        PayloadInvalid: the message names no balance account of Adyen's.
    """
    if ITEM in message.body:
        item = Node(message.body, "event").child(ITEM)
        holder = None
        # A key that may not look there must not keep a dispute from being judged: it stays nobody's.
        with suppress(Refused):
            holder = _of_split(sdk, item, own)
        with suppress(Refused):
            holder = holder or _of_transfers(sdk, item, balance_platform, own)
    else:
        holder = holder_of(sdk, balance_account_of(message))
    return replace(message, body={**message.body, FETCHED: {"accountHolder": holder}})


def holder_of(sdk: Adyen.Adyen, balance_account: str) -> str:
    """Return the account holder of a balance account.

    Raises:
        RetryLater, Refused: Adyen cannot be read.
        PayloadInvalid: it is no balance account's id.
    """
    if not is_balance_account(balance_account):
        raise PayloadInvalid("the message names no balance account (`BA…`)")
    accounts = sdk.balancePlatform.balance_accounts_api
    found = reading(lambda: accounts.get_balance_account(balance_account), "balance account")
    holder = found.needed_text("accountHolderId")
    if not is_account_holder(holder):
        raise Refused("adyen names an account holder that is none")
    return holder


def _of_split(sdk: Adyen.Adyen, item: Node, own: frozenset[str]) -> str | None:
    holders = {holder_of(sdk, account) for account in balance_accounts_of(item)} - own
    return holders.pop() if len(holders) == 1 else None


def _of_transfers(sdk: Adyen.Adyen, item: Node, balance_platform: str | None, own: frozenset[str]) -> str | None:
    at = item.moment("eventDate")
    if balance_platform is None or at is None:
        return None
    references = {text for key in ("pspReference", "originalReference") if (text := item.text(key))}
    holders = holders_of(sdk, {"balancePlatform": in_path(balance_platform)}, references, at) - own
    return holders.pop() if len(holders) == 1 else None


def holders_of(sdk: Adyen.Adyen, asked: Mapping[str, str], references: set[str], at: datetime) -> set[str]:
    """Return the account holders whose money transfers about a payment or dispute have moved around a moment.

    Raises:
        RetryLater, Refused: Adyen cannot be read.
    """
    listed = transfers_of(
        sdk.transfers.transfers_api, {**asked, "category": "platformPayment"}, at - AROUND, at + AROUND
    )
    holders = set()
    for each in listed:
        about, holder = each.child("categoryData"), each.child("accountHolder").text("id")
        named = {about.text("modificationPspReference"), about.text("pspPaymentReference")}
        if holder and references & named and is_account_holder(holder):
            holders.add(holder)
    return holders
