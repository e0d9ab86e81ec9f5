"""Looks at files and puts together what was found, less what comments ignore."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from paycordon.documents import Document, document_from
from paycordon.errors import PolicyError, Position
from paycordon.policy.bindings import Bindings, bindings_from
from paycordon.policy.cases import RulesTried, policy_beside, rules_tried
from paycordon.policy.lint import amounts, bound, conditions, declared, governance, ignores, missing, risks, style
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.subject import BindingsSubject, Known, PolicySubject
from paycordon.policy.load import Read, examine, read_file

_LINE = re.compile(r"^(?P<file>.+):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)$")
_TESTS = ".test.yaml"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: issues in the order of the files and of the lines in them, and what comments ignore and why."""

    issues: list[Issue] = field(default_factory=list)
    ignored: list[tuple[Issue, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Files:
    """What is looked at: policies, and their bindings if they have any."""

    policies: tuple[Path, ...]
    bindings: Path | None = None

    def __iter__(self) -> Iterator[Path]:
        """All of them."""
        return iter([*self.policies, *([self.bindings] if self.bindings else [])])


def lint(
    paths: Iterable[Path],
    known_codes: Collection[str] | None = None,
    *,
    bindings: Path | None = None,
    gateways: Collection[str] | None = None,
    now: datetime | None = None,
) -> list[Issue]:
    """Look for what is wrong or risky in policy files, in the order of the files and of the lines in them.

    Args:
        paths: the policies.
        known_codes: finding codes that the installed checks emit; without them P101 is not looked for.
        bindings: the file that says where they apply; without it, they are taken to be in force everywhere.
        gateways: the names of the installed adapters; without them P121 is not looked for.
        now: the time by which something has expired; without it P118 is not looked for, and of P116 only a part.
    """
    codes = None if known_codes is None else frozenset(known_codes)
    known = Known(codes, None if gateways is None else frozenset(gateways), now)
    return examined(Files(tuple(paths), bindings), known).issues


def examined(files: Files, known: Known, *, read: Read = read_file) -> Report:
    """Look at files; `read` returns their content, so that changes can be tried before they are written."""
    report = Report()
    loaded: list[PolicySubject] = []
    for path in files.policies:
        found = _policy(path, read)
        if isinstance(found, PolicySubject):
            loaded.append(found)
        else:
            report.issues.extend(found)
    clash = _clash(loaded)
    whole = len(loaded) == len(files.policies) and not clash
    places = _bindings(files.bindings, loaded, read) if files.bindings and whole else None
    if isinstance(places, BindingsSubject):
        by_policy = places.bindings.by_policy
        loaded = [replace(each, bound=by_policy.get(each.policy.ref.name, ())) for each in loaded]
    for each in loaded:
        _add(report, _of_policy(each, known, read), each.text, each.document, _unsure(known, each.bound is not None))
    if isinstance(places, BindingsSubject):
        of_bindings = bound.issues(places, known)
        _add(report, of_bindings, places.text, places.document, _unsure(known, bound=True))
    elif places is not None:
        report.issues.extend(places)
    report.issues.extend(clash)
    order = {str(path): index for index, path in enumerate(files)}
    report.issues.sort(key=lambda issue: (order.get(str(issue.position.file), len(order)), *_place(issue)))
    return report


def _place(issue: Issue) -> tuple[int, int, str]:
    return issue.position.line, issue.position.column, issue.id


def text_of(content: bytes) -> str:
    """The text as `document_from` sees it."""
    return content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")


def _policy(path: Path, read: Read) -> PolicySubject | list[Issue]:
    try:
        content = read(path)
        document = document_from(content, path, error=PolicyError)
    except PolicyError as error:
        return _unloadable(error, path)
    policy = examine(content, document, read=read)
    if isinstance(policy, list):
        return [Issue("P100", problem.position, problem.message, problem.hint) for problem in policy]
    return PolicySubject(policy, document, text_of(content))


def _unloadable(error: PolicyError, path: Path) -> list[Issue]:
    """One issue for each problem that an error lists."""
    first, *others = error.message.split("\n")
    issues = [Issue("P100", error.position or Position(path), first, error.hint)]
    for line in others:
        if found := _LINE.match(line):
            position = Position(path, int(found["line"]), int(found["column"]))
            issues.append(Issue("P100", position, found["message"]))
    return issues


def _bindings(path: Path, loaded: Iterable[PolicySubject], read: Read) -> BindingsSubject | list[Issue]:
    policies = {each.policy.ref.name: each.policy for each in loaded}
    params = {name: policy.params for name, policy in policies.items()}
    rules = {name: [rule.id for rule in policy.rules] for name, policy in policies.items()}
    try:
        content = read(path)
        fixed = {name: policy.fixed for name, policy in policies.items()}
        read_: Bindings = bindings_from(content, path, params, rules, fixed)
        return BindingsSubject(read_, document_from(content, path, error=PolicyError), text_of(content), policies)
    except PolicyError as error:
        return _unloadable(error, path)


def _clash(loaded: Iterable[PolicySubject]) -> list[Issue]:
    issues: list[Issue] = []
    first: dict[str, Path | str] = {}
    for each in loaded:
        name = each.policy.ref.name
        if name in first:
            message = f"there are two policies named `{name}`"
            issues.append(Issue("P100", Position(each.document.file), message, f"the other is {first[name]}"))
        first.setdefault(name, each.document.file)
    return issues


def _of_policy(policy: PolicySubject, known: Known, read: Read) -> Iterator[Issue]:
    yield from declared.issues(policy, known)
    yield from conditions.issues(policy, known)
    yield from bound.unbound(policy)
    tried = _tried(Path(policy.document.file), read)
    yield from risks.issues(policy, tried.met)
    yield from governance.issues(policy, tried, known.now)
    yield from missing.issues(policy)
    yield from amounts.issues(policy)
    yield from style.issues(policy)


def _tried(path: Path, read: Read) -> RulesTried:
    """What the tests beside a policy expect of its rules; `policy test` says what is wrong with the tests."""
    found = RulesTried()
    for tests in sorted(path.parent.glob(f"{path.stem}*{_TESTS}")):
        try:
            if policy_beside(tests) == path:
                found |= rules_tried(read(tests), tests)
        except PolicyError:
            continue
    return found


def _unsure(known: Known, bound: bool) -> frozenset[str]:
    """The issues that were not looked for, or whose presence depends on files that were not looked at."""
    missing = {
        "P101": known.codes is None,
        "P121": known.gateways is None,
        "P118": known.now is None,
        "P116": known.now is None,
        "P219": known.now is None,
        # Found with or without bindings, and then not the other way round.
        "P115": not bound,
        "P203": bound,
        "P217": bound,
    }
    return frozenset(id_ for id_, is_missing in missing.items() if is_missing)


def _add(report: Report, found: Iterable[Issue], text: str, document: Document, unsure: frozenset[str]) -> None:
    left, ignored = ignores.apply(found, text, document, unsure)
    report.issues.extend(left)
    report.ignored.extend(ignored)
