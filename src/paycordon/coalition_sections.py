"""The sections of `paycordon.yaml` about what others know: lists of names, indicators and their sources."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StrictStr, field_validator, model_validator

from paycordon.sections import Section, SpanField
from paycordon.spans import Span, check_calendar, check_zone


class NameListSection(Section):
    """A list of names to compare merchants and the people behind them with; `paycordon names build` reads it.

    Attributes:
        file: the list, one entry a line; a relative path starts from the configuration file.
        format: `jsonl` is our own (see examples/README.md), `ftm` that of FollowTheMoney, as OpenSanctions publishes.
        threshold: how alike names must be for a finding, from 0 to 100.
        index: where its index is kept; it can always be built again.
        two_people: whether clearing one of its entries takes two people.
    """

    file: Path
    format: Literal["jsonl", "ftm"] = "jsonl"
    threshold: Annotated[int, Field(ge=50, le=100)] = 85
    index: Path | None = None
    two_people: bool = True


class SourceSection(Section):
    """How far a source of indicators is trusted.

    Attributes:
        trust: 0 to 100; what its indicators are sure of is weighed by it.
        most_new_matches: a batch of its feed that would match more merchants than this waits for a person.
        own: whether its indicators are this deployment's own knowledge, which it may tell others as such.
    """

    trust: Annotated[int, Field(ge=0, le=100)] = 100
    most_new_matches: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    own: bool = False


class IndicatorsSection(Section):
    """How indicators are compared with events.

    Attributes:
        most_merchants: an indicator that belongs to more merchants than this names nobody; it is told, not counted.
        known_for: whatever an event carries, its merchant is compared also by what it was seen with within this time,
            such as `365d`; by IP addresses, which soon are somebody else's, for 30 days at most.
        warnings: CSV files of identifiers that very many share, beside the list that comes with the package.
        lookup: a file that workers make from the store and all processes of a machine share, so that millions of
            indicators are looked through in microseconds; without one the store is asked each time.
    """

    most_merchants: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    known_for: SpanField = Span(timedelta(days=365))
    lookup: Path | None = None
    warnings: tuple[Path, ...] = ()

    @field_validator("known_for")
    @classmethod
    def _is_time(cls, value: Span) -> Span:
        if value.business_days:
            raise ValueError("`known_for` is a time such as `365d`")
        return value


class RemindersSection(Section):
    """The endpoint of the role `restricted`, told by webhooks signed as Standard Webhooks says.

    It hears that some restricted deadline is near or has passed, and nothing else. Whoever reads it learns that there
    is one, so only people of the role may.

    Attributes:
        url: where; `https`, or plain `http` on this machine. None of `notifications` may have it as well.
        secrets: `whsec_…` in base64, as references; each signs, so that a new one can be added before the old one goes.
        private: whether it may be in a private network.
    """

    url: Annotated[str, Field(pattern=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])", repr=False)]
    secrets: Annotated[tuple[StrictStr, ...], Field(min_length=1, repr=False)]
    private: bool = False


class ReferralsSection(Section):
    """By when something is to be done about a tip that others hand us, and how many people it takes.

    No public source gives these times: they are parameters to be agreed with the clearing house and with counsel. A
    deadline that passes is told, and does nothing by itself.

    Attributes:
        offer: by when a tip is offered to law enforcement, or released where it need not be.
        law_enforcement: how long law enforcement has to say whether it wants the tip held, unless it says so itself.
        act: by when people have decided what a released tip led to.
        feedback: by when its source is told what came of it.
        calendar: the country whose business days count, such as `US` or `DE-BY`.
        zone: the time zone in which a day ends.
        two_people: whether releasing a tip into screening takes a second person, an approver.
        reminders: where the role `restricted` is reminded of deadlines; without it they show in its lists alone.
    """

    offer: SpanField = Span(business_days=1)
    law_enforcement: SpanField = Span(business_days=10)
    act: SpanField = Span(business_days=5)
    feedback: SpanField = Span(business_days=10)
    calendar: str = "US"
    zone: str = "UTC"
    two_people: bool = True
    reminders: RemindersSection | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_calendar(self.calendar)
        check_zone(self.zone)
        return self
