"""Why a merchant was terminated, as codes that others have too. A listing under the wrong one ruins somebody.

The codes of Mastercard's MATCH are data: what each means, from which numbers on it applies, and when the acquirer that
listed a merchant can take the listing back before its time. Names follow the public interface description of MATCH and
what acquirers' guides say of it; where only one knows something, that is said. A network's own rules decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_API = "public interface description of MATCH"
_GUIDE = "a payment service provider's guide to MATCH"


@dataclass(frozen=True, slots=True)
class Reason:
    """One code.

    Attributes:
        code: such as `match:13`.
        name: in a few words.
        means: what happened.
        source: where it is said.
        criteria: from which numbers on it applies; empty where none are published.
        removable: when the listing can be taken off before its time is over, beside an error of the lister.
        usable: whether it can be given; what is reserved cannot.
    """

    code: str
    name: str
    means: str
    source: str = _API
    criteria: str = ""
    removable: str = ""
    usable: bool = True


_ALL = (
    Reason("match:01", "account data compromise", "account data were taken from the merchant or passed through it"),
    Reason("match:02", "common point of purchase", "cards that were misused later had all been used there"),
    Reason("match:03", "laundering", "transactions of others, or that were none, were handed in as the merchant's own"),
    Reason(
        "match:04",
        "excessive chargebacks",
        "too many disputes",
        _GUIDE,
        "in a month, more than 1 % of the sales transactions and at least USD 5,000",
    ),
    Reason(
        "match:05",
        "excessive fraud",
        "too much fraud",
        _GUIDE,
        "in a month, fraud above 8 % of sales with at least 10 fraudulent transactions (some also ask for USD 5,000)",
    ),
    Reason("match:06", "reserved", "reserved; one recent public mapping reads it as coercion", usable=False),
    Reason("match:07", "fraud conviction", "an owner or principal was convicted of fraud"),
    Reason("match:08", "questionable merchant audit", "the network's audit programme found the merchant questionable"),
    Reason("match:09", "bankruptcy or insolvency", "the merchant cannot meet its obligations any more"),
    Reason("match:10", "violation of standards", "the merchant broke the network's rules"),
    Reason("match:11", "collusion", "the merchant took part in fraud together with others"),
    Reason(
        "match:12",
        "non-compliance with PCI DSS",
        "the merchant does not protect card data as the standard asks",
        removable="once the merchant complies",
    ),
    Reason("match:13", "illegal transactions", "the merchant took payments for what the law forbids"),
    Reason(
        "match:14",
        "identity theft",
        "the contract was made in the name of somebody who knew nothing of it",
        removable="for the person whose identity was taken, as one guide says",
    ),
)

REASONS: Mapping[str, Reason] = {reason.code: reason for reason in _ALL}
"""All that are known, by code."""

LASTS_YEARS = 5
"""How long a listing with MATCH lasts; the merchant cannot appeal to the network, only the lister takes it back."""


def problem_with(code: str | None) -> str:
    """Say why a termination cannot be given this reason; empty if it can."""
    if code is None:
        return "a termination needs a `reason`; `paycordon exchange reasons` lists the codes"
    known = REASONS.get(code)
    if known is None:
        return f"there is no reason `{code}`; `paycordon exchange reasons` lists the codes"
    return "" if known.usable else f"the reason `{code}` is reserved and cannot be given"
