"""A tip as it is handed to us: one JSON object, checked whole. Identifiers are plain on the way in, and nowhere else.

It says who and where: identifiers, merchants, a category, a reference. It has no field for content, and takes none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from paycordon.cardnumbers import looks_like_card_number
from paycordon.coalition.identifiers import Digester, is_valid
from paycordon.coalition.indicators import Indicator, Status, Tlp
from paycordon.events import Identifier, UtcTime
from paycordon.feeds.items import Item, Named, Text, digests_of


class Clue(BaseModel):
    """One identifier of a tip: its plain `value`, or its `digest` under a key that both sides have; see `Item`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str
    value: Annotated[str | None, Field(repr=False)] = None
    digest: str | None = None
    country: str | None = None


class Tip(BaseModel):
    """What somebody outside tells of somebody here, or of identifiers that may turn up here.

    Attributes:
        source: who handed it to us; its indicators will carry this name.
        reference: the source's own name for it; together they name the referral.
        received_at: when it reached us; when it is taken in without it.
        identifiers: what to look for.
        merchants: the facilitator's own ids of merchants, where the source or a person here knows them.
        category: what it is about, in the source's own words.
        note: what a person has to know; names, and nothing of what was seen.
        confidence, status, valid_until, tlp, licence, reshare: as of `coalition.indicators.Indicator`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    source: Named
    reference: Named
    received_at: UtcTime | None = None
    identifiers: Annotated[tuple[Clue, ...], Field(max_length=1_000, repr=False)] = ()
    merchants: Annotated[tuple[Named, ...], Field(max_length=100)] = ()
    category: Text = ""
    note: Annotated[str, Field(max_length=4_000, repr=False)] = ""
    confidence: Annotated[int, Field(ge=0, le=100, strict=True)] = 50
    status: Named = Status.ALLEGATION
    valid_until: UtcTime | None = None
    tlp: Tlp = Tlp.AMBER_STRICT
    licence: Text = ""
    reshare: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _about_somebody(self) -> Self:
        if not self.identifiers and not self.merchants:
            raise ValueError("names neither `identifiers` nor `merchants`")
        return self

    @field_validator("reference", "category", "note")
    @classmethod
    def _no_card(cls, value: str) -> str:
        if looks_like_card_number(value):
            raise ValueError("looks like a card number, which is never taken")
        return value

    def items(self) -> Iterator[Item]:
        """Yield what it says of each identifier.

        Raises:
            ValidationError: a kind, value, digest or country cannot be one.
        """
        names = ("reference", "confidence", "status", "category", "tlp", "valid_until", "licence", "reshare")
        shared = {name: getattr(self, name) for name in names}
        for clue in self.identifiers:
            yield Item(**shared, **clue.model_dump())

    def unusual(self) -> list[int]:
        """Return the numbers of identifiers that are nothing of their kind, and match only what is written the same."""
        plain = [(n, each) for n, each in enumerate(self.items(), start=1) if each.value is not None]
        return [n for n, each in plain if not is_valid(Identifier(kind=each.kind, value=each.value), each.country)]

    def indicators(self, digester: Digester) -> list[Indicator]:
        """Return the indicators that it is to become once it is released: digests, each once, and nothing plain.

        Raises:
            ValidationError: as `items`.
            FeedRefused: a value may be a card number, or is a range of addresses that is too wide.
        """
        found: dict[str, Indicator] = {}
        for number, item in enumerate(self.items(), start=1):
            said = item.model_dump(exclude={"value", "digest", "country"})
            for digest in digests_of(item, digester, f"identifier {number}"):
                found.setdefault(digest, Indicator(**said, digest=digest, source=self.source))
        return list(found.values())
