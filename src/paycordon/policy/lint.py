"""Complaints about policy files before they judge anybody; `ISSUES` says what each id means."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from paycordon.decisions import Outcome
from paycordon.documents import Document, did_you_mean, document_from, read_content
from paycordon.errors import PolicyError, Position
from paycordon.policy.load import examine
from paycordon.policy.model import Policy, PolicySet

ISSUES: Mapping[str, str] = MappingProxyType(
    {
        "P100": "the policy cannot be loaded",
        "P101": "a rule waits for a finding code that no installed check emits, so it never matches",
        "P102": "a parameter is declared that no rule uses",
        "P103": "an aggregate is declared that no rule uses, yet is computed for every event",
        "P104": "`payout`, `dispute` or `payment` is compared with null, which is always false; use `has(…)`",
        "P201": "a rule stops money without saying where it comes from (`references`)",
        "P202": "a rule blocks on the event alone, without the finding of any check",
    }
)


class Severity(StrEnum):
    """How bad an issue is: the first digit of its id."""

    BUG = "bug"
    RISK = "risk"
    STYLE = "style"


_SEVERITY = {"1": Severity.BUG, "2": Severity.RISK, "3": Severity.STYLE}
_TEXT = r"""(?:"[^"\\]*"|'[^'\\]*')"""
_CODES = re.compile(rf"\.code\s*(?:==|!=|in)\s*({_TEXT}|\[(?:\s*{_TEXT}\s*,?)*\])|({_TEXT})\s*(?:==|!=)\s*\w+\.code\b")
_NULL = re.compile(r"\bevent\.(payout|dispute|payment|merchant|account)\s*[!=]=\s*null\b")


@dataclass(frozen=True, slots=True)
class Issue:
    """Something a person should look at in a policy file."""

    id: str
    severity: Severity
    position: Position
    message: str
    hint: str | None = None


def lint(paths: Iterable[Path], known_codes: Collection[str] | None = None) -> list[Issue]:
    """Look for what is wrong or risky in policy files, in the order of the files and of the lines in them.

    Args:
        paths: the files.
        known_codes: finding codes that the installed checks emit; without them P101 is not looked for.
    """
    issues: list[Issue] = []
    loaded: list[Policy] = []
    for path in paths:
        try:
            content = read_content(path, error=PolicyError)
            document = document_from(content, path, error=PolicyError)
        except PolicyError as error:
            issues.append(_issue("P100", error.position or Position(path), error.message, error.hint))
            continue
        policy = examine(content, document)
        if not isinstance(policy, Policy):
            issues.extend(_issue("P100", problem.position, problem.message, problem.hint) for problem in policy)
            continue
        loaded.append(policy)
        found = [*_unused(policy, document), *_rules(policy, document, known_codes)]
        issues.extend(sorted(found, key=lambda issue: (issue.position.line, issue.position.column, issue.id)))
    return issues + _clash(loaded)


def _issue(id_: str, position: Position, message: str, hint: str | None = None) -> Issue:
    return Issue(id_, _SEVERITY[id_[1]], position, message, hint)


def _clash(loaded: Iterable[Policy]) -> list[Issue]:
    try:
        PolicySet(loaded)
    except PolicyError as error:
        return [_issue("P100", error.position or Position(""), error.message)]
    return []


def _unused(policy: Policy, document: Document) -> Iterator[Issue]:
    text = "\n".join(rule.condition for rule in policy.rules)
    data = document.data if isinstance(document.data, dict) else {}
    for id_, section, kind in (("P102", "params", "parameter"), ("P103", "aggregates", "aggregate")):
        declared = data.get(section)
        for name in declared if isinstance(declared, dict) else ():
            if not re.search(rf"\b{section}\s*\.\s*{re.escape(name)}\b", text):
                position = document.position((section, name), key=True)
                yield _issue(id_, position, f"the {kind} `{name}` is not used by any rule", "leave it out")


def _rules(policy: Policy, document: Document, known_codes: Collection[str] | None) -> Iterator[Issue]:
    for index, rule in enumerate(policy.rules):
        loc = ("rules", index, "when")
        if known_codes is not None:
            for code, at in _codes(rule.when or ""):
                if code not in known_codes:
                    hint = did_you_mean(code, sorted(known_codes))
                    message = f"rule `{rule.id}`: no installed check emits `{code}`"
                    yield _issue("P101", _at(document, loc, (rule.when or ""), at), message, hint)
        for found in _NULL.finditer(rule.when or ""):
            message = f"rule `{rule.id}`: `event.{found[1]}` is never equal to null"
            hint = f"write `!has(event.{found[1]})`"
            yield _issue("P104", _at(document, loc, (rule.when or ""), found.start()), message, hint)
        if rule.then is not None and rule.then.stops and not rule.references:
            message = f"rule `{rule.id}` stops money without `references`"
            yield _issue("P201", rule.position, message, "say where it comes from")
        if rule.then is Outcome.BLOCK and not re.search(r"\bfindings\b", (rule.when or "")):
            message = f"rule `{rule.id}` blocks without looking at `findings`"
            yield _issue("P202", rule.position, message, "hold instead, so that a person decides")


def _codes(source: str) -> Iterator[tuple[str, int]]:
    """Find the finding codes that an expression compares with, and where they stand in it."""
    for found in _CODES.finditer(source):
        group = 1 if found[1] else 2
        for text in re.finditer(_TEXT, found[group]):
            yield text[0][1:-1], found.start(group) + text.start() + 1


def _at(document: Document, loc: tuple[str | int, ...], source: str, index: int) -> Position:
    return document.position_in(loc, source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index))
