"""One statement of a source before it is keyed, checked the same way whatever format it came in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from paycordon.cardnumbers import looks_like_card_number
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Indicator, Status, Tlp, Withdrawn
from paycordon.errors import FeedRefused
from paycordon.events import Identifier, IdentifierKind, UtcTime
from paycordon.feeds.contract import Surroundings


def _printable(text: str) -> str:
    # No control characters, and no halves of characters, which no database takes.
    if not text.isprintable() and any(unicodedata.category(each) in ("Cc", "Cs") for each in text):
        raise ValueError("has control characters")
    return text


Text = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
Named = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
# Why a field cannot be taken, by pydantic's word for it; its own sentences are for whoever wrote the model.
_WHY = {
    "extra_forbidden": "is no field of an indicator",
    "missing": "is missing",
    "string_too_long": "is too long",
    "string_too_short": "is empty",
    "timezone_aware": "is a time without a zone",
    "datetime_parsing": "is no time",
    "datetime_from_date_parsing": "is no time",
    "enum": "is none of those that there are",
    "int_type": "is no number",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?", re.ASCII)


class Item(BaseModel):
    """What a source says of one identifier: its plain `value`, or its `digest` under a key that both sides have.

    The other fields are those of `coalition.indicators.Indicator`. `country` (ISO 3166, two letters) tells how a
    telephone number without a country code, or a tax number, is to be read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    value: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_printable)] | None = None
    digest: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}:[0-9a-f]{64}$")] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    reference: Named
    confidence: Annotated[int, Field(ge=0, le=100, strict=True)] = 50
    status: Named = Status.ALLEGATION
    category: Text = ""
    tlp: Tlp = Tlp.AMBER_STRICT
    valid_from: UtcTime | None = None
    valid_until: UtcTime | None = None
    first_seen: UtcTime | None = None
    last_seen: UtcTime | None = None
    half_life_days: Annotated[int, Field(ge=1, le=36_500, strict=True)] | None = None
    licence: Text = ""
    reshare: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.value is None) == (self.digest is None):
            raise ValueError("has a `value` or a `digest`, and not both")
        return self


def item_of(fields: Mapping[str, Any], where: str) -> Item:
    """Check the fields of one item.

    Raises:
        FeedRefused: they do not fit; names `where` and the field, never a value.
    """
    try:
        return Item.model_validate(fields)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        field, why = ".".join(map(str, first["loc"])) or "item", _WHY.get(first["type"], "cannot be taken")
        raise FeedRefused(f"{where}: `{field[:80]}` {why}") from None


def with_zone(text: str) -> str:
    """Return a date, or a time without a zone, as the time in UTC that it means; anything else as it is."""
    if _DAY.fullmatch(text):
        return f"{text}T00:00:00Z"
    return f"{text}Z" if _NAIVE.fullmatch(text) else text


def digests_of(item: Item, digester: Digester, where: str) -> tuple[str, ...]:
    """Return the digests that an item stands for.

    Raises:
        FeedRefused: it may be a card number, or is a range of addresses that is too wide.
    """
    if item.digest is not None:
        return (item.digest,)
    value = item.value or ""
    if item.kind not in (IdentifierKind.IBAN, IdentifierKind.PHONE) and looks_like_card_number(value):
        raise FeedRefused(f"{where}: looks like a card number, which is never taken")
    try:
        return digester.of_indicator(Identifier(kind=item.kind, value=value), item.country)
    except ValueError:
        raise FeedRefused(f"{where}: `value` cannot be taken") from None


def indicators_of(item: Item, surroundings: Surroundings, where: str) -> list[Indicator]:
    """Turn an item into indicators: one, or several for a range of addresses.

    Raises:
        FeedRefused: it cannot be taken.
    """
    said = item.model_dump(exclude={"value", "digest", "country"})
    digests = digests_of(item, surroundings.digester, where)
    before = former_digests_of(item, surroundings.digester) or ((),) * len(digests)
    return [
        Indicator(**said, digest=digest, source=surroundings.source, former=former)
        for digest, former in zip(digests, before, strict=True)
    ]


def indicators_of_all(
    items: Iterable[tuple[str, Mapping[str, Any]]], surroundings: Surroundings, tick: Callable[[], object]
) -> list[Indicator]:
    """Turn places and fields into indicators; `tick` is called for each, and ends what takes too long."""
    found: list[Indicator] = []
    for where, fields in items:
        tick()
        found += indicators_of(item_of(fields, where), surroundings, where)
    return found


def withdrawals_of(item: Item, digester: Digester, where: str) -> list[Withdrawn]:
    """Turn an item that its source takes back into withdrawals.

    Raises:
        FeedRefused: it cannot be taken.
    """
    return [Withdrawn(digest, item.reference) for digest in digests_of(item, digester, where)]


def former_digests_of(item: Item, digester: Digester) -> Sequence[tuple[str, ...]]:
    """Return, for each digest of an item, those under keys that were current before; nothing where there are none."""
    if item.value is None:
        return ()
    return digester.of_indicator_formerly(Identifier(kind=item.kind, value=item.value), item.country)


def former_of(item: Item, digester: Digester) -> list[Withdrawn]:
    """Turn an item that a source takes back into withdrawals of what it was under other keys.

    For sources that say only what changes: of what they say whole, the rows under other keys are not said any more.
    Call it after what checks the item.
    """
    if item.value is None:
        return []
    identifier = Identifier(kind=item.kind, value=item.value)
    return [Withdrawn(each, item.reference) for each in digester.of_indicator_before(identifier, item.country)]
