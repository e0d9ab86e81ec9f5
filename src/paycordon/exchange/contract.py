"""The contract of a recipient: what an author of a format writes. `paycordon.testing.RecipientConformance` proves it.

A recipient hands one message at a time to somebody outside, and says what they call it. It keeps no state and decides
nothing: two people agreed to the message, what may be shared was checked (`paycordon.exchange.sharing`), and the outbox
brings it here again, under the same key, until an answer is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Tlp
from paycordon.events import Country
from paycordon.feeds.contract import Period
from paycordon.feeds.items import Item, Named, Text


class Verb(StrEnum):
    """What a message does at its recipient."""

    ADD = "add"
    CORRECT = "correct"
    RETRACT = "retract"
    FEEDBACK = "feedback"


class ContributionKind(StrEnum):
    """What is contributed: a merchant that was terminated, what was seen here, or what another source said."""

    TERMINATION = "termination"
    SIGHTING = "sighting"
    RELAY = "relay"


class Worth(StrEnum):
    """What people made of an indicator once they had looked into it."""

    USEFUL = "useful"
    NOT_USEFUL = "not_useful"
    FALSE_POSITIVE = "false_positive"


class Audience(StrEnum):
    """Who hears what a recipient is told, by the circles of the Traffic Light Protocol 2.0."""

    CLIENTS = "clients"
    COMMUNITY = "community"
    PUBLIC = "public"


class _Shared(BaseModel):
    # Personal data: an error names a field and never repeats a value.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Address(_Shared):
    """Where somebody is; `country` is ISO 3166-1 alpha-2."""

    street: Text = ""
    city: Text = ""
    region: Text = ""
    postal_code: Text = ""
    country: Country | None = None


class Principal(_Shared):
    """Somebody who owns or runs a merchant."""

    first_name: Named
    last_name: Named
    address: Address = Address()
    phone: Text = ""
    national_id: Text = ""


class Party(_Shared):
    """A merchant as lists of terminated merchants want it; plain, for the recipient alone."""

    legal_name: Named
    trading_name: Text = ""
    merchant_id: Text = ""
    mcc: Annotated[str, Field(pattern=r"^\d{4}$", description="ISO 18245")] | None = None
    address: Address = Address()
    phone: Text = ""
    tax_id: Text = ""
    urls: Annotated[tuple[Named, ...], Field(max_length=50)] = ()
    principals: Annotated[tuple[Principal, ...], Field(max_length=5)] = ()
    opened_on: date | None = None
    closed_on: date | None = None


class Contribution(_Shared):
    """What is told.

    Attributes:
        kind: see `ContributionKind`.
        items: the identifiers, plain; each with confidence, status, times, handling (TLP) and licence.
        party: who was terminated; only recipients that keep lists of merchants want it.
        tlp: the mark of the party; each item has its own.
        reason: why, as a code of `paycordon.exchange.reasons`; needed for a termination.
        ended_on: when the contract with the merchant ended.
        appeal: the reference of the merchant's objection while it is undecided; each correction says so anew.
        origin: of a relay, whose word it is; goes along wherever the items go.
    """

    kind: ContributionKind
    items: tuple[Item, ...] = ()
    party: Annotated[Party | None, Field(repr=False)] = None
    tlp: Tlp = Tlp.AMBER_STRICT
    reason: Annotated[str, Field(pattern=r"^[a-z0-9_]+:[A-Za-z0-9_]{1,32}$")] | None = None
    ended_on: date | None = None
    appeal: Text = ""
    origin: Text = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to a recipient.

    Once a recipient has taken what is told, nothing plain of it is kept here. So a correction says only what is new:
    without items they stay as they were there, and so do the party and the reason.

    Attributes:
        key: the same for each try of this message, and for no other.
        verb: what it does.
        id: our name of what it is about; the same in what corrects or retracts it.
        revision: 1 for the first word, higher for each correction.
        content: what is told; none in a retraction and in feedback.
        theirs: how the recipient calls what is corrected, retracted or judged; none of what is new, and in a
            retraction of what it may have taken without our hearing so: find it by `id`, or refuse.
        worth: what people made of it; in feedback only.
        why: a neutral sentence for the recipient; empty for none.
    """

    key: str
    verb: Verb
    id: str
    revision: int = 1
    content: Contribution | None = field(default=None, repr=False)
    theirs: str | None = None
    worth: Worth | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message: how the recipient calls it, and whether it had it already."""

    theirs: str
    already: bool = False


class RecipientSettings(_Shared):
    """What the configuration says of one recipient; a format subclasses it.

    Attributes:
        format: the name of the format.
        audience: who hears what it is told; decides what a mark of the Traffic Light Protocol lets through.
        licences: the licences under which others' knowledge may be passed on to it; none without.
        source: the source of indicators that it is, so that feedback reaches it; none for no source.
        listing_clock: the legal clock (`clocks.legal`) that has done its duty once a termination was taken.
        lasts: after how long what it was told ends there by itself.
    """

    format: str
    audience: Audience = Audience.COMMUNITY
    licences: tuple[Named, ...] = ()
    source: Named | None = None
    listing_clock: Named | None = None
    lasts: Period | None = None


@dataclass(frozen=True, slots=True)
class Here:
    """What a recipient may use: its name in the configuration, digests, where paths start, and the time in UTC."""

    name: str
    digester: Digester
    base: Path
    clock: Callable[[], datetime]


S = TypeVar("S", bound=RecipientSettings)


class Recipient(ABC, Generic[S]):
    """One configured recipient.

    Attributes:
        format: what the configuration calls this format.
        about: one sentence for people.
        settings_type: the model of its settings.
        verbs: what it can be told; of what is not here, people are told that it cannot be.
        kinds: which contributions it takes.

    Raises:
        ConfigError: what the settings name cannot be used (from `__init__`).
    """

    format: ClassVar[str]
    about: ClassVar[str]
    settings_type: ClassVar[type[RecipientSettings]]
    verbs: ClassVar[frozenset[Verb]]
    kinds: ClassVar[frozenset[ContributionKind]]

    def __init__(self, settings: S, here: Here) -> None:
        self.settings = settings
        self.here = here

    def check(self, content: Contribution) -> None:  # most take whatever the contract allows
        """Refuse what this recipient could never take, while it is still a draft.

        It is not asked about corrections without items, which say only what is otherwise.

        Raises:
            Refused: says what is missing or wrong, without repeating a value.
        """

    def tend(self) -> None:  # most have nothing to keep up
        """Keep up what others read, such as a signature that runs out. Workers call it about once an hour.

        Raises:
            ConfigError: it cannot be kept up.
        """

    @abstractmethod
    def send(self, message: Outgoing) -> Receipt:
        """Hand over one message. Called by workers, never from a payment's path; at least once for each message.

        The process may die after the recipient took it, and the answer may never come: called again with the same
        `key`, it must not be there twice. Where the recipient has no idempotency of its own, look first.

        Raises:
            RetryLater: it was not taken; the same again later.
            Refused: it will never be taken so; a person must look.
            OutcomeUnknown: it may have been taken; it comes again.
        """
