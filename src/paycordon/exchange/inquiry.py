"""The contract of an inquiry: ask a list of terminated merchants before a merchant is signed, and hear of it later.

A match is a lead, never a proof: the lists themselves say that an answer informs and decides nothing. An inquiry is
asked outside of the payment's path, keeps no state and stores nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from paycordon.exchange.contract import Here, Party
from paycordon.feeds.contract import Period


class Likeness(StrEnum):
    """How something that was asked about is like what is listed: the same, or alike in spelling or sound."""

    EXACT = "exact"
    ALIKE = "alike"


class About(StrEnum):
    """What of a party matched; the last three are those of its principals."""

    LEGAL_NAME = "legal_name"
    TRADING_NAME = "trading_name"
    ADDRESS = "address"
    PHONE = "phone"
    TAX_ID = "tax_id"
    URL = "url"
    PERSON = "person"
    PERSON_PHONE = "person_phone"
    PERSON_ID = "person_id"


@dataclass(frozen=True, slots=True)
class Matched:
    """One thing that matched.

    Attributes:
        about: what of the party.
        likeness: how far.
        value: as it is listed; needed where the party has several of it, to tell which one is meant.
    """

    about: About
    likeness: Likeness
    value: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Match:
    """A listed merchant that is possibly the one asked about.

    Attributes:
        listing: names it, the same each time; opaque, and nothing personal.
        matched: what of the party matched.
        people: of each listed principal that matched, what of it did.
        reason: why it is listed, as a code of `paycordon.exchange.reasons`.
        listed_on: when it was listed.
        listed_by: who listed it, as the list names them; asking them is the next step.
    """

    listing: str
    matched: tuple[Matched, ...]
    people: tuple[tuple[Matched, ...], ...] = ()
    reason: str = ""
    listed_on: date | None = None
    listed_by: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a list says: its own reference of the inquiry, and who possibly is meant; nobody if `matches` is empty."""

    reference: str
    matches: tuple[Match, ...] = ()


class InquirySettings(BaseModel):
    """What the configuration says of one inquiry; a format subclasses it.

    Attributes:
        format: the name of the format.
        keep: how long what is listed later is looked for after an inquiry.
        every: how long from one look for it to the next.
        lasts: how long a listing counts after its date, where it is not taken back before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    format: str
    keep: Annotated[Period, Field(ge=timedelta(days=1), le=timedelta(days=3660))] = timedelta(days=360)
    every: Annotated[Period, Field(ge=timedelta(minutes=1), le=timedelta(days=30))] = timedelta(hours=6)
    lasts: Annotated[Period, Field(ge=timedelta(days=1), le=timedelta(days=3660))] = timedelta(days=5 * 365)


S = TypeVar("S", bound=InquirySettings)


class Inquiry(ABC, Generic[S]):
    """One configured list that can be asked.

    Attributes:
        format: what the configuration calls this format.
        about: one sentence for people.
        settings_type: the model of its settings.

    Raises:
        ConfigError: what the settings name cannot be used (from `__init__`).
    """

    format: ClassVar[str]
    about: ClassVar[str]
    settings_type: ClassVar[type[InquirySettings]]

    def __init__(self, settings: S, here: Here) -> None:
        self.settings = settings
        self.here = here

    @abstractmethod
    def ask(self, party: Party, key: str) -> Answer:
        """Ask whether a merchant is listed.

        Args:
            party: the merchant, plain; it is sent, and repeated in no error.
            key: our name of this inquiry. Asked again under the same key there may be two inquiries there, which does
                no harm: they inform, and change nothing.

        Raises:
            RetryLater: it cannot be asked now.
            Refused: it does not take the question, or its answer is malformed or without end; a person must look.
        """

    @abstractmethod
    def later(self, watched: Collection[str]) -> Iterator[Answer]:
        """Yield what was listed since, of the inquiries whose references are watched.

        What is not said any more is not taken back by it: lists do not tell that of an earlier inquiry. Who asks anew
        hears it.

        Raises:
            RetryLater, Refused: as `ask`; after all that can be yielded was.
        """
