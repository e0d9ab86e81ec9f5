"""What was concluded about an event: findings, check errors, matched rules, and the outcome."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue

from paycordon.events import EventType, Mode, OpaqueId, Record, Subject, Text, UtcTime

SCHEMA_VERSION: Literal[1] = 1


class Outcome(StrEnum):
    """`allow < review < hold < block`. Several combine by maximum, so order never matters."""

    ALLOW = "allow"
    REVIEW = "review"
    HOLD = "hold"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        """Severity, from 0 for `allow` to 3 for `block`."""
        return _RANK[self]

    def __or__(self, other: Outcome) -> Outcome:
        return self if self.rank >= other.rank else other

    @property
    def stops(self) -> bool:
        """Whether the activity does not go on by itself."""
        return self.rank >= _RANK[Outcome.HOLD]

    @classmethod
    def most_severe(cls, *outcomes: Outcome) -> Outcome:
        """Combine outcomes by maximum; without any it is `allow`."""
        return max(outcomes, key=lambda o: o.rank, default=cls.ALLOW)


_RANK = {Outcome.ALLOW: 0, Outcome.REVIEW: 1, Outcome.HOLD: 2, Outcome.BLOCK: 3}


class Scope(StrEnum):
    """What a hold stops.

    ============  ====================================================  ===========================
    scope         calls and events that it stops                        at the gateway
    ============  ====================================================  ===========================
    `payout`      the one payout, while its call has not left yet       nothing
    `outflow`     payouts asked for the merchant or account             payouts are held
    `payouts`     whatever is asked for the merchant or account         payouts are held
    `charges`     whatever is asked for the merchant or account         payouts and new charges
    `onboarding`  whatever is asked for the merchant or account         payouts and new charges
    ============  ====================================================  ===========================

    `outflow` is for merchants that are new and not suspected: they go on being signed, and nothing leaves before
    somebody has looked. A payout that the gateway knows already cannot be held alone everywhere, so it is held with all
    the others. What the outcome adds is how the caller is answered, and who undoes it.
    """

    PAYOUT = "payout"
    OUTFLOW = "outflow"
    PAYOUTS = "payouts"
    CHARGES = "charges"
    ONBOARDING = "onboarding"

    @classmethod
    def usual(cls, outcome: Outcome) -> Scope:
        """The scope of a hold of which nothing else is said."""
        return cls.CHARGES if outcome is Outcome.BLOCK else cls.PAYOUTS


Scalar = str | int | float | bool | None


class Finding(Record):
    """What a check concluded.

    `confidence` is between 0 and 1. `evidence` holds the values compared, so that a person can follow the conclusion;
    identifiers appear there as digests only.
    """

    check: OpaqueId
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=96)]
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    evidence: dict[str, Scalar] = {}


class ErrorKind(StrEnum):
    """Why a check has no conclusion."""

    RAISED = "raised"
    LATE = "late"
    INVALID = "invalid"


class CheckError(Record):
    """A check that failed, was late, or returned what is not a finding. The policy's `on_error` says what it means."""

    check: OpaqueId
    kind: ErrorKind
    detail: Text = ""


class RuleError(Record):
    """A rule whose expression could not be evaluated for this event, for example for want of a value."""

    policy: OpaqueId
    rule: OpaqueId
    detail: Text = ""


class RuleMatch(Record):
    """A rule that matched, or a pseudo-rule of the engine (`on_error`, `standing_hold`, `typology.…`), and its outcome.

    `binding` is the one under which the policy judged; none where policies are not bound. `limited` is the outcome the
    rule states, where a cap of the binding has lowered it to `outcome`, or a snooze, whose id `snoozed` then is.
    `review_after_s` is how many seconds a hold may wait for a person, and `scope` what it stops, if the policy says so.
    """

    policy: OpaqueId
    rule: OpaqueId
    outcome: Outcome
    internal_reason: Text = ""
    merchant_reason: Text = ""
    binding: OpaqueId | None = None
    limited: Outcome | None = None
    snoozed: OpaqueId | None = None
    review_after_s: Annotated[int, Field(ge=0)] | None = None
    scope: Scope | None = None


class Score(Record):
    """What the matching rules of a policy added up to for one typology, and which rules those were."""

    policy: OpaqueId
    typology: OpaqueId
    points: int
    rules: tuple[OpaqueId, ...] = ()


class Cap(Record):
    """A cap of a binding that was reached, so that the outcome became `review`.

    `limit` is the cap and `used` what had been held or blocked before, in decisions within the hour, out of `screened`.
    """

    binding: OpaqueId
    outcome: Outcome
    limit: Annotated[float, Field(ge=0)]
    used: int
    screened: int


class PolicyRef(Record):
    """A policy, or a file beside one, in the wording that judged: name, version and SHA-256 digest."""

    name: OpaqueId
    version: int
    digest: str


class Judgement(Record):
    """What a set of rules says of recorded inputs."""

    outcome: Outcome
    matches: tuple[RuleMatch, ...] = ()
    errors: tuple[RuleError, ...] = ()
    scores: tuple[Score, ...] = ()


class Evaluation(Judgement):
    """The pure part of a decision: what the policies say of recorded inputs.

    Attributes:
        shadow: what it would be if all that runs in shadow were enforced too; none when nothing in shadow applied.
        caps: the caps that lowered an outcome.
        bindings: the ids of the bindings that applied, in force or in shadow.
    """

    shadow: Judgement | None = None
    caps: tuple[Cap, ...] = ()
    bindings: tuple[OpaqueId, ...] = ()

    @property
    def merchant_reason(self) -> str:
        """What may be said to the merchant: of the most severe matches, the first that has a reason."""
        severe = (m for m in self.matches if m.outcome is self.outcome and m.merchant_reason)
        return next((m.merchant_reason for m in severe), "")


class Decision(Record):
    """The immutable record of one screening: its inputs, what was concluded, under which policy."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: OpaqueId
    event_id: OpaqueId
    event_type: EventType | str
    instance: OpaqueId
    mode: Mode
    merchant: OpaqueId
    subject: Subject
    outcome: Outcome
    merchant_reason: Text = ""
    matches: tuple[RuleMatch, ...] = ()
    findings: tuple[Finding, ...] = ()
    errors: tuple[CheckError, ...] = ()
    rule_errors: tuple[RuleError, ...] = ()
    scores: tuple[Score, ...] = ()
    shadow: Judgement | None = None
    caps: tuple[Cap, ...] = ()
    bindings: tuple[OpaqueId, ...] = ()
    aggregates: dict[str, Scalar] = {}
    policies: tuple[PolicyRef, ...] = ()
    decided_at: UtcTime
    elapsed_us: Annotated[int, Field(ge=0, description="from receiving the event to the decision, in microseconds")] = 0

    @property
    def rule(self) -> str:
        """The rule that set the outcome, as `policy/rule`; empty when nothing matched."""
        return next((f"{m.policy}/{m.rule}" for m in self.matches if m.outcome is self.outcome), "")

    def outward(self) -> dict[str, JsonValue]:
        """All that may leave the facilitator's risk team: id, outcome and the merchant reason."""
        return {"decision_id": self.id, "outcome": self.outcome.value, "merchant_reason": self.merchant_reason}

    def without_timing(self) -> Self:
        """The same decision with what differs between two runs on the same inputs set to zero."""
        return self.model_copy(update={"elapsed_us": 0})
