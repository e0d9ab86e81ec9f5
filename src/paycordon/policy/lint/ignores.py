"""Comments that ignore an issue with a reason: `# lint: ignore P201 because the source is our own terms of use`.

One at the end of a line is about what stands on that line, one on a line of its own about the next line that is
neither empty nor a comment. An expression of several lines belongs to the line of its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from paycordon.documents import Document
from paycordon.documents_yaml import Node, parse
from paycordon.errors import Position
from paycordon.policy.lint.issues import ISSUES, Issue

NEVER = frozenset({"P100", "P122", "P123"})
"""What no comment can ignore."""

_MARK = re.compile(r"#\s*lint\s*:\s*(.*)$")
_IGNORE = re.compile(r"ignore\s+(P\d+(?:\s*,\s*P\d+)*)\s+because\s+(\S.*)")
_ID = re.compile(r"P\d+")
_LEAST_REASON = 10
_HINT = "write `# lint: ignore P201 because …` with a reason of at least a few words"


@dataclass(frozen=True, slots=True)
class Ignore:
    """A comment: which issues it ignores, why, where it stands, and which line it is about."""

    ids: tuple[str, ...]
    reason: str
    position: Position
    line: int


def apply(
    issues: Iterable[Issue], text: str, document: Document, unsure: frozenset[str]
) -> tuple[list[Issue], list[tuple[Issue, str]]]:
    """Take out what comments ignore.

    Args:
        issues: what was found in the file.
        text: the file's text.
        document: the same file, for positions.
        unsure: issues that were not looked for, so that nothing can be said of comments that ignore them.

    Returns:
        What is left, with complaints about the comments themselves, and what was ignored with the reasons.
    """
    marks = list(_marks(text))
    if not marks:
        return list(issues), []
    ignores, found = _read(marks, text, document)
    left: list[Issue] = []
    ignored: list[tuple[Issue, str]] = []
    used: set[tuple[int, str]] = set()
    for issue in issues:
        by = [each for each in ignores if issue.id in each.ids and each.line in (issue.position.line, issue.anchor)]
        used.update((each.position.line, issue.id) for each in by)
        if by and issue.id not in NEVER:
            ignored.append((issue, by[0].reason))
        else:
            left.append(issue)
    for each in ignores:
        for id_ in each.ids:
            if (each.position.line, id_) not in used and id_ not in unsure:
                message = f"there is no {id_} to ignore on line {each.line}"
                found.append(Issue("P123", each.position, message, "leave the comment out", ("ignores", id_)))
    return left + found, ignored


def _marks(text: str) -> Iterator[tuple[int, int, str]]:
    """Comments that speak to lint: line from 1, index of the comment in the line, and what it says."""
    if "lint" not in text:
        return
    inside = _lines_inside_scalars(text)
    for number, line in enumerate(text.split("\n"), 1):
        found = _MARK.search(line)
        if found is not None and not any(start <= found.start() < end for start, end in inside.get(number, ())):
            yield number, found.start(), found[1].strip()


def _lines_inside_scalars(text: str) -> dict[int, list[tuple[int, int]]]:
    """Which parts of which lines are values and not comments."""
    inside: dict[int, list[tuple[int, int]]] = {}
    stack: list[Node] = [parse(text)]
    while stack:
        node = stack.pop()
        if node.children:
            stack.extend(node.children.values())
            continue
        for line in range(node.start.line, node.end.line + 1):
            first = node.start.column - 1 if line == node.start.line else 0
            last = node.end.column - 1 if line == node.end.line else 10**9
            # A block starts below its `>`, after which a comment may stand.
            if text[node.start.offset : node.start.offset + 1] in ("|", ">") and line == node.start.line:
                continue
            inside.setdefault(line, []).append((first, last))
    return inside


def _read(marks: Sequence[tuple[int, int, str]], text: str, document: Document) -> tuple[list[Ignore], list[Issue]]:
    lines = text.split("\n")
    ignores: list[Ignore] = []
    issues: list[Issue] = []
    for number, column, said in marks:
        position = Position(document.file, number, column + 1)
        found = _IGNORE.fullmatch(said)
        ids = tuple(_ID.findall(found[1])) if found else ()
        refused = _refused(ids, found[2] if found else "")
        if refused:
            issues.append(Issue("P122", position, *refused))
        elif found is not None:
            ignores.append(Ignore(ids, found[2], position, _target(lines, number, column)))
    return ignores, issues


def _refused(ids: Sequence[str], reason: str) -> tuple[str, str] | None:
    if not ids:
        return "the comment does not say what is ignored and why", _HINT
    for id_ in ids:
        if id_ not in ISSUES:
            return f"there is no issue {id_}", "`paycordon policy lint --explain all` lists them"
        if id_ in NEVER:
            return f"{id_} cannot be ignored", "repair it"
    return ("the reason says too little", _HINT) if len(reason) < _LEAST_REASON else None


def _target(lines: Sequence[str], number: int, column: int) -> int:
    if lines[number - 1][:column].strip():
        return number
    for below in range(number, len(lines)):
        stripped = lines[below].strip()
        if stripped and not stripped.startswith("#"):
            return below + 1
    return number
