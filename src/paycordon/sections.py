"""The sections of `paycordon.yaml`: what each may say, with defaults that are safe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from paycordon.decisions import Outcome
from paycordon.legalclocks import CATALOGUE, LegalClock, StartsWith
from paycordon.people import Role
from paycordon.spans import Span, check_calendar, check_zone, parse_span

MIN_KEY_BYTES = 32
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

_SLA = (timedelta(hours=4), timedelta(hours=24), timedelta(days=3), timedelta(days=14))
SpanField = Annotated[
    Span,
    BeforeValidator(lambda value: parse_span(value) if isinstance(value, str) else value),
    WithJsonSchema({"type": "string", "examples": ["24h", "90d", "5 business days"]}),
]
_PERIOD = re.compile(r"^([1-9]\d{0,4})([dy])$")


class Section(BaseModel):
    """What all sections share: unknown keys are refused, and a wrong value is not repeated in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class IdentifierKeys(Section):
    """HMAC keys of identifier digests, by name; `current` names the one new digests are made with.

    Attributes:
        current: is this deployment's own, and nobody else's.
        shared: keys that members of the coalition have in common, so that digests can be told to each other.
        keys: the secrets, as references.
    """

    current: str
    shared: tuple[str, ...] = ()
    keys: Annotated[dict[str, StrictStr], Field(min_length=1, repr=False)]

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.current not in self.keys:
            raise ValueError(f"`current` names the key `{self.current}`, which is not among `keys`")
        for name in self.shared:
            if name not in self.keys:
                raise ValueError(f"`shared` names the key `{name}`, which is not among `keys`")
        if self.current in self.shared:
            raise ValueError(f"`{self.current}` is the current key, which nobody else may have: share another one")
        short = [name for name, key in self.keys.items() if len(key.encode()) < MIN_KEY_BYTES]
        if short:
            raise ValueError(f"the key `{short[0]}` is shorter than {MIN_KEY_BYTES} bytes")
        return self


class Screening(Section):
    """How long a screening may take, in milliseconds, and what is answered when it cannot be done at all.

    `store_patience_ms` is how long the store may give no sign of life before it counts as unavailable; one that is
    merely busy is waited for as long as the budget lasts.
    """

    budget_ms: Annotated[int, Field(ge=1, le=60_000)] = 200
    check_deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = 50
    when_unavailable: Outcome = Outcome.HOLD
    store_patience_ms: Annotated[int, Field(ge=10, le=60_000)] = 40


class Approvals(Section):
    """Who may sign policies, as Ed25519 public keys in PEM by name, and whether unsigned changes are refused."""

    required: bool = False
    signers: dict[Name, StrictStr] = {}


class LegalSection(Section):
    """A legal deadline: one of the catalogue by its id, with what is given here instead, or one of your own.

    `on` says what starts it: `hold`, `block` or `case`; `after` how long it is: `30d`, or `5 business days` of
    `calendar`, a country such as `GB`, in the time zone `zone`; `source` where it comes from.
    """

    on: StartsWith | None = None
    after: StrictStr | None = None
    calendar: StrictStr | None = None
    zone: StrictStr | None = None
    source: StrictStr | None = None


@dataclass(frozen=True, slots=True)
class LegalDeadline:
    """A legal clock that was chosen, with its span read."""

    on: StartsWith
    after: Span
    calendar: str
    zone: str
    source: str


class Clocks(Section):
    """Deadlines of holds and cases. A deadline never releases anything: it warns, then escalates, then reminds.

    Attributes:
        hold_review: by when a person looks at a hold, where its policy says nothing.
        hold_maximum: by when a hold has to be decided about for good.
        warn_percent: which part of a deadline is left when people are warned.
        remind: how often they are reminded of one that has passed.
        sla: by when a case of each priority, from 0 to 3, is to be closed.
        legal: deadlines of laws and card networks; none runs that is not named here.
    """

    hold_review: SpanField = Span(timedelta(hours=24))
    hold_maximum: SpanField = Span(timedelta(days=90))
    warn_percent: Annotated[int, Field(ge=1, le=90)] = 25
    remind: SpanField = Span(timedelta(days=7))
    sla: dict[Annotated[int, Field(ge=0, le=3)], SpanField] = {}
    legal: dict[Name, LegalSection] = {}

    @field_validator("remind")
    @classmethod
    def _is_time(cls, value: Span) -> Span:
        if value.business_days:
            raise ValueError("`remind` is a time such as `7d`")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for _, legal in self.legal_clocks():
            check_calendar(legal.calendar)
            check_zone(legal.zone)
        return self

    def sla_of(self, priority: int) -> Span:
        """By when a case of this priority is to be closed."""
        return self.sla.get(priority) or Span(_SLA[min(priority, len(_SLA) - 1)])

    def legal_clocks(self) -> Sequence[tuple[str, LegalDeadline]]:
        """The legal deadlines that were chosen, by their ids.

        Raises:
            ValueError: one is not in the catalogue and does not say enough by itself.
        """
        return [(id_, _legal(id_, written)) for id_, written in self.legal.items()]


def _legal(id_: str, written: LegalSection) -> LegalDeadline:
    known = CATALOGUE.get(id_)
    if known is None:
        if written.on is None or written.after is None or written.source is None:
            raise ValueError(f"there is no legal clock `{id_}` in the catalogue: say `on`, `after` and `source`")
        known = LegalClock(written.on, written.after, written.source)
    return LegalDeadline(
        written.on or known.on,
        parse_span(written.after or known.after),
        written.calendar or known.calendar,
        written.zone or known.zone,
        written.source or known.source,
    )


class Detail(StrEnum):
    """How much an endpoint hears: what a merchant may know too, or rules and reasons as well."""

    NEUTRAL = "neutral"
    INTERNAL = "internal"


class NotificationSection(Section):
    """An endpoint that is told what happens, by webhooks signed as Standard Webhooks says.

    Attributes:
        url: where; `https`, or plain `http` on this machine.
        secrets: `whsec_…` in base64, as references; each signs, so that a new one can be added before the old one goes.
        types: what it hears of, such as `hold.placed`, `case.*` or `*`.
        detail: `neutral`, or `internal` with rules and reasons.
        private: whether it may be in a private network.
    """

    url: Annotated[str, Field(pattern=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])", repr=False)]
    secrets: Annotated[tuple[StrictStr, ...], Field(min_length=1, repr=False)]
    types: Annotated[tuple[StrictStr, ...], Field(min_length=1)] = ("*",)
    detail: Detail = Detail.NEUTRAL
    private: bool = False


class HubSection(Section):
    """A hub of the coalition that this member may ask whether an identifier is known.

    Attributes:
        url: where; `https`, or plain `http` on this machine.
        token: what the hub gave this member, as a reference.
        pinned: the hub's public keys in hexadecimal, received from it by another way; no other key is believed.
        max_bits: how many bits of what is looked up the hub may learn at most.
    """

    url: Annotated[str, Field(pattern=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])", repr=False)]
    token: Annotated[StrictStr, Field(repr=False)]
    pinned: Annotated[tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...], Field(min_length=1)]
    max_bits: Annotated[int, Field(ge=0, le=32)] = 16


class NoticesSection(Section):
    """What merchants are told about holds, and by when.

    Attributes:
        language: the language of the notices, such as `de`; English where there are no texts in it.
        ground: the clause of your contract that a hold rests on.
        contact: where a merchant can object.
        within: by when a merchant must have been told; somebody is reminded if not.
        texts: a directory with files such as `de.yaml` that say it in your own words.
    """

    language: Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Za-z]{2,4})?$")] = "en"
    ground: StrictStr = ""
    contact: StrictStr = ""
    within: SpanField = Span(timedelta(hours=24))
    texts: Path | None = None


class PersonSection(Section):
    """What a person may do, and how they prove who they are: `token_sha256` is the digest of a random token.

    The token itself is never in the configuration: `paycordon person token` makes one.
    """

    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]


class ReviewSection(Section):
    """What people may do by hand, and for how long.

    Attributes:
        proposal: how long a proposal waits for the second person, before it lapses.
        longest_snooze: how long a rule may be silenced for one merchant.
        upheld: when a hold that was upheld is looked at again.
        released: how long the rule of a released hold does not stop that merchant again, unless it rests on the
            coalition's knowledge.
        cleared: how long an indicator that a released hold rested on is passed over for that merchant, as long as its
            source says nothing new.
    """

    proposal: SpanField = Span(timedelta(days=7))
    longest_snooze: SpanField = Span(timedelta(days=90))
    upheld: SpanField = Span(timedelta(days=30))
    released: SpanField = Span(timedelta(hours=24))
    cleared: SpanField = Span(timedelta(days=90))


class DirectivesSection(Section):
    """How long authorities' instructions may last.

    Attributes:
        longest: from the start, or a renewal, to the end; six months by FinCEN's guidance FIN-2007-G002.
    """

    longest: SpanField = Span(timedelta(days=183))


class Unsupported(StrEnum):
    """What is done with a hold that no rule asks for any more: a person looks at it, or it is released at once.

    A hold whose release takes two people is never released without them.
    """

    CASE = "case"
    RELEASE = "release"


class WithdrawalSection(Section):
    """What follows when an indicator or a policy version is withdrawn and a hold has no other reason.

    Attributes:
        unsupported: what is done with such a hold.
        retract_within: by when what others were told is taken back, once what it rests on was released or withdrawn.
    """

    unsupported: Unsupported = Unsupported.CASE
    retract_within: SpanField = Span(business_days=1)


def _period(value: object) -> timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not (found := _PERIOD.match(value.strip())):
        raise ValueError("a period is written as `30d` or `5y`; leave it out to keep everything")
    return timedelta(days=int(found[1]) * (366 if found[2] == "y" else 1))


# In the file it is text; a year counts as 366 days, so that nothing goes a day too early.
_Period = Annotated[
    timedelta | None,
    BeforeValidator(_period),
    WithJsonSchema({"type": ["string", "null"], "pattern": r"^[1-9]\d{0,4}[dy]$"}),
]


class RetentionSection(Section):
    """How long records are kept, such as `5y` or `30d`; without a period they are kept for good.

    A record is erased only once nothing stands against it: no hold in force, open case, running clock or open proposal
    of its merchant. Laws ask for long periods: documents behind a suspicious activity report five years, documents
    about a keep-open request five years after its end, reports to the CyberTipline one year. Others ask for short
    ones. Ask counsel; nothing is erased by default.

    Attributes:
        events: texts of events, from when they were recorded, and what aggregates read of them.
        decisions: texts of decisions with their released holds, from when they were made.
        deliveries: rows of messages that were screened, from when they came; their texts go at once in any case.
        cases: closed cases with their history, from when they were closed.
        acts: acts that were done at gateways, from when they were.
        proposals: what took two people, from when it was decided or lapsed.
        snoozes: snoozes of rules, from their end.
        contributions: what others were told, from when it was taken back, given up or had run out; what still stands at
            a recipient stays, so that it can be taken back.
        feedback: what sources were told of their indicators, from when they had taken it.
        notices: notices that were sent to merchants.
        notifications: messages that their endpoints have taken.
        referrals: tips that others handed us, from their end; where law enforcement had them held at least five years.
        inquiries: what was asked of lists of terminated merchants, from when later listings are looked for no more.
    """

    events: _Period = None
    decisions: _Period = None
    deliveries: _Period = None
    cases: _Period = None
    acts: _Period = None
    proposals: _Period = None
    snoozes: _Period = None
    contributions: _Period = None
    feedback: _Period = None
    notices: _Period = None
    notifications: _Period = None
    referrals: _Period = None
    inquiries: _Period = None


class Drift(StrEnum):
    """What is done when somebody has changed a restricted account at its gateway by hand.

    `reapply` puts the restriction back. `case` leaves the gateway as it is until a person has decided.
    """

    REAPPLY = "reapply"
    CASE = "case"


class InstanceEnforcement(Section):
    """Enforcement at one gateway instance, where it is another than in general."""

    drift: Drift | None = None
    accounts_per_s: Annotated[float | None, Field(gt=0, le=1_000)] = None


class EnforcementSection(Section):
    """How gateways are made to agree with the holds.

    Attributes:
        drift: what is done about changes that somebody makes at the gateway by hand.
        accounts_per_s: how many accounts of an instance all workers together begin with in a second. An adapter makes
            two requests for an account that agrees, and up to seven for one that has to be changed.
        instances: what is otherwise at single instances.
    """

    drift: Drift = Drift.REAPPLY
    accounts_per_s: Annotated[float, Field(gt=0, le=1_000)] = 10.0
    instances: dict[Name, InstanceEnforcement] = {}

    def drift_at(self, instance: str) -> Drift:
        """What is done about drift at one instance."""
        own = self.instances.get(instance)
        return (own and own.drift) or self.drift

    def accounts_per_s_at(self, instance: str) -> float:
        """The rate limit of one instance."""
        own = self.instances.get(instance)
        return (own and own.accounts_per_s) or self.accounts_per_s
