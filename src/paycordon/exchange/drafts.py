"""What people write down to be told: checked here, so that an error names a field and never repeats a value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from paycordon.cardnumbers import looks_like_card_number
from paycordon.coalition.indicators import Indicator, Tlp
from paycordon.errors import PaycordonError
from paycordon.events import OpaqueId, UtcTime
from paycordon.exchange.contract import ContributionKind, Party
from paycordon.exchange.sharing import stricter
from paycordon.feeds.items import Item, Named, Text, item_of


class DraftItem(BaseModel):
    """One identifier, plain or as a digest; as `paycordon.feeds.items.Item`.

    Of others' knowledge `kind`, `value` or `digest`, and `reference` say which indicator is passed on; all else comes
    from what its source says. A `tlp` may make it stricter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    value: Annotated[str | None, Field(min_length=1, max_length=1024, repr=False)] = None
    digest: str | None = None
    country: str | None = None
    reference: Named | None = None
    confidence: Annotated[int | None, Field(ge=0, le=100)] = None
    status: Named | None = None
    category: Text | None = None
    tlp: Tlp | None = None
    valid_from: UtcTime | None = None
    valid_until: UtcTime | None = None
    first_seen: UtcTime | None = None
    last_seen: UtcTime | None = None
    half_life_days: Annotated[int | None, Field(ge=1, le=36_500)] = None
    licence: Text | None = None
    reshare: bool | None = None

    def own(self, reference: str, tlp: Tlp | None, where: str) -> Item:
        """Return the item as own knowledge, under our name of the contribution.

        Raises:
            FeedRefused: a field cannot be taken; names it.
        """
        said = self.model_dump(exclude_none=True) | {"reference": reference}
        return item_of({**({"tlp": tlp} if tlp else {}), **said}, where)

    def relayed(self, indicator: Indicator, tlp: Tlp | None, where: str) -> Item:
        """Return the item as its source says it, with the licence, and under the stricter mark.

        Raises:
            FeedRefused: a field cannot be taken; names it.
        """
        said: dict[str, Any] = {name: getattr(self, name) for name in ("kind", "value", "digest", "country")}
        said |= {name: getattr(indicator, name) for name in _OF_SOURCE}
        said["tlp"] = stricter(self.tlp or tlp or indicator.tlp, indicator.tlp)
        return item_of({name: value for name, value in said.items() if value is not None}, where)


class DraftWords(BaseModel):
    """What is told, of something new or as its correction; in a correction, what is left out stays as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reason: str | None = None
    ended_on: date | None = None
    tlp: Tlp | None = None
    items: Annotated[tuple[DraftItem, ...], Field(max_length=1_000, repr=False)] = ()
    party: Annotated[Party | None, Field(repr=False)] = None

    def require_no_card_number(self) -> None:
        """Go on only if nothing that is written looks like a card number; identifiers are looked at by their kinds.

        Raises:
            PaycordonError: something does; names no value.
        """
        said = self.model_dump(mode="json", exclude_none=True)
        if any(looks_like_card_number(each) for each in _texts(said)):
            raise PaycordonError("something looks like a card number, which is never taken")


class Draft(DraftWords):
    """Something new to be told.

    Attributes:
        recipient: to whom, by its name in the configuration.
        kind: what it is.
        merchant: whom it is about; not needed to pass on what others know.
        hold: the hold that it rests on; by default the strictest of the merchant.
        origin: whose word is passed on.
        tlp: the mark of the party, and of items that have none of their own.
    """

    recipient: str
    kind: ContributionKind
    merchant: OpaqueId | None = None
    hold: OpaqueId | None = None
    origin: Named | None = None


# Numbers of their own, some of which pass the check of card numbers by chance.
_NUMBERS = frozenset({"value", "digest", "phone", "tax_id", "national_id", "merchant_id", "postal_code"})


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        for name, each in said.items():
            yield from () if name in _NUMBERS else _texts(each)
    elif isinstance(said, list):
        for each in said:
            yield from _texts(each)
    elif isinstance(said, str):
        yield said


_OF_SOURCE = (
    *("reference", "confidence", "status", "category", "valid_from", "valid_until", "first_seen", "last_seen"),
    *("half_life_days", "licence", "reshare"),
)
