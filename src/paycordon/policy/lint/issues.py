"""What lint can complain of: every id with the sentence that documents it, and one complaint at its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType

from paycordon.errors import Position

ISSUES: Mapping[str, str] = MappingProxyType(
    {
        "P100": "the file cannot be loaded",
        "P101": "something waits for a finding code that no installed check emits, which never comes",
        "P102": "a parameter is declared that nothing uses",
        "P103": "an aggregate is declared that nothing uses, yet is computed for every event",
        "P104": "a record such as `event.payout` is compared with null, which it never equals; use `has(…)`",
        "P105": "a variable is declared that no rule uses",
        "P106": "a list is declared that nothing uses",
        "P107": "no rule adds points to a typology, so its thresholds are never reached",
        "P108": "a rule can never match: its parts contradict each other",
        "P109": "a rule matches every event of its types",
        "P110": "a rule reads a part of the event that events of its types never have",
        "P111": "a rule changes nothing, because another one stops at least as hard whenever it matches",
        "P112": "two rules of one outcome have the same condition",
        "P113": "a condition says the same twice",
        "P114": "a threshold of a typology is higher than all rules that add to it together",
        "P115": "a policy judges nothing, because no binding names it",
        "P116": "a binding never applies",
        "P117": "a segment is declared that no binding uses",
        "P118": "an item of a list has expired",
        "P119": "a list has one value twice, of which the last counts",
        "P120": "a binding sets a parameter to what the policy says already",
        "P121": "a binding names a gateway for which no adapter is installed",
        "P122": "a comment that should ignore an issue names none, an unknown one, or no reason",
        "P123": "a comment ignores an issue that is not there",
        "P201": "a rule or typology stops money without saying where it comes from (`references`)",
        "P202": "a rule blocks on the event alone, without the finding of any check",
        "P203": "a rule that blocks is in force without a test that expects it",
        "P204": "a hold may last for ever, because nothing says when it is reviewed (`review_after`)",
        "P205": "a soft indicator alone leads to a block",
        "P206": "a rule stops money for a country or a name alone, which stands for where a person comes from",
        "P207": "a child-protection policy lets pass what it could not judge (`on_error: allow`)",
        "P208": "a binding is in force without caps, so that one mistake can stop everybody",
        "P209": "a value that may be missing is used without `has(…)`",
        "P210": "a `merchant_reason` tells the merchant what was found",
        "P211": "a failed check blocks (`on_error: block`), which refuses everybody while it fails",
        "P212": "an amount is compared without its currency",
        "P213": "a soft rule blocks, or adds to a typology that can block",
        "P214": "a soft rule states an outcome alone, which several signs together ought to do",
        "P215": "a rule of a pack does not say where it comes from, how far to trust it, or whom it meets wrongly",
        "P216": "a rule of a pack is not tried: it has to match in a test, not match in one, and nearly match in one",
        "P217": "an unverified rule is in force",
        "P218": "a number is written into a pack instead of a parameter",
        "P219": "the date is past by which a pack was to be compared with its source",
        "P301": "a rule or typology that states an outcome does not say why (`internal_reason`)",
        "P302": "a policy has no `description`",
        "P303": "the keys stand in another order than usual",
        "P304": "an expression is very long",
        "P305": "a number or duration is written into a rule instead of a parameter",
        "P306": "the id of a rule says nothing about it",
    }
)
"""Every id and what it means, in one sentence."""

FIXABLE = frozenset({"P102", "P103", "P105", "P106", "P107", "P113", "P117", "P119", "P120", "P123"})
"""Those that `--fix` repairs: removing these changes no judgement."""


class Severity(StrEnum):
    """How bad an issue is: the first digit of its id."""

    BUG = "bug"
    RISK = "risk"
    STYLE = "style"


_SEVERITY = {"1": Severity.BUG, "2": Severity.RISK, "3": Severity.STYLE}


@dataclass(frozen=True, slots=True)
class Issue:
    """Something a person should look at in a policy file.

    Attributes:
        loc: the keys and indices that lead to it in the file; empty if it is about the file.
        anchor: the line of the key it belongs to, where a comment may ignore it as well as on its own line.
        span: where in the expression at `loc` it is, as offsets, if it is about a part of one.
    """

    id: str
    position: Position
    message: str
    hint: str | None = None
    loc: tuple[str | int, ...] = field(default=(), compare=False)
    anchor: int = field(default=0, compare=False)
    span: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return severity_of(self.id)

    @property
    def fixable(self) -> bool:
        """Whether `--fix` repairs it."""
        return self.id in FIXABLE


def severity_of(id_: str) -> Severity:
    """How bad an issue of this id is."""
    return _SEVERITY[id_[1]]


def explanation(id_: str) -> str:
    """Why an issue matters, with a file that has it and one that does not; in Markdown.

    Raises:
        KeyError: there is no such id.
    """
    if id_ not in ISSUES:
        raise KeyError(id_)
    return files(__package__).joinpath("explained", f"{id_}.md").read_text(encoding="utf-8")
