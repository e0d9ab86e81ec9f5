"""Identifiers from what gateways say of merchants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from paycordon.cardnumbers import looks_like_card_number
from paycordon.errors import PayloadInvalid
from paycordon.events import Identifier, IdentifierKind

MERCHANT_METADATA_KEY = "paycordon_merchant"
"""Where the facilitator may put its own merchant id in an account's metadata, to link accounts of several gateways."""

MAX_IDENTIFIERS = 256
MAX_TEXT = 2_048  # as `paycordon.events` takes
Named = Iterator[tuple[IdentifierKind, str | None]]


def unique(found: Iterable[tuple[IdentifierKind, str | None]]) -> tuple[Identifier, ...]:
    """Make identifiers of those values that are there, each once, in the order found.

    Raises:
        PayloadInvalid: a telephone number looks like a card number.
    """
    seen = dict.fromkeys((kind, text) for kind, value in found if (text := fitted(value)))
    # An event takes telephone numbers as they are, for some pass the check by chance; none of those is a card number.
    if any(kind is IdentifierKind.PHONE and looks_like_card_number(value) for kind, value in seen if value):
        raise PayloadInvalid("a telephone number looks like a card number, which is never taken")
    return tuple(Identifier(kind=kind, value=value) for kind, value in seen)[:MAX_IDENTIFIERS]


def merged(*groups: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Return the identifiers of all groups, each once, in the order found."""
    return tuple(dict.fromkeys(each for group in groups for each in group))[:MAX_IDENTIFIERS]


def fitted(text: str | None) -> str | None:
    """Make what a merchant wrote fit into an event: one too long would keep the account from being screened at all."""
    return text.replace("\0", "")[:MAX_TEXT] if text else None


def named_in_url(url: str | None) -> Named:
    """Yield a web address and its host."""
    yield IdentifierKind.URL, url
    yield IdentifierKind.DOMAIN, host_of(url) if url else None


def host_of(url: str) -> str | None:
    """Return the host of a web address, which merchants write with or without a scheme."""
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None


def person_name(*parts: str | None) -> str | None:
    """Put the parts of a name together that are there."""
    return " ".join(part for part in parts if part) or None
