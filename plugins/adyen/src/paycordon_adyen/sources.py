"""What the configuration says of whose a statement is, and which of two families counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]
"""What a reader found, by the names that `paycordon.events.Event` has for it."""

FETCHED = "paycordonFetched"
"""Where `fetching` puts what it found, beside what Adyen said."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where payments and disputes are taken from, and whose accounts are whose.

    Attributes:
        own_account_holders: the platform's own, of which nothing is screened.
        merchant_accounts: account holders by the merchant account that is theirs alone.
        stores: account holders by the reference of their store.
        account_metadata_key: under which the backend writes the account holder into a payment's metadata.
        payments_are_transfers: whether payments are counted by transfers, not by notifications.
        disputes_are_transfers: whether disputes are opened by transfers, not by notifications.
        finds_disputed: whether the account holder of a dispute that names none can be looked for among transfers.
    """

    own_account_holders: frozenset[str] = frozenset()
    merchant_accounts: Mapping[str, str] = field(default_factory=dict)
    stores: Mapping[str, str] = field(default_factory=dict)
    account_metadata_key: str = "paycordon_account"
    payments_are_transfers: bool = True
    disputes_are_transfers: bool = False
    finds_disputed: bool = False
