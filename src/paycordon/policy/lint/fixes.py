"""Repairs what can be left out without changing any judgement.

Spans of the text are cut out; comments, quotes and layout of the rest stay as they are. What a cut would leave behind
is looked at before anything is written: a change that makes a file unloadable or brings a new issue is not made.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paycordon.documents import Document, document_from
from paycordon.documents_yaml import Node, parse
from paycordon.errors import PolicyError, Position
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.run import Files, Report, examined, text_of
from paycordon.policy.lint.subject import Known
from paycordon.policy.load import Read, read_file
from paycordon.policy.syntax import line_column

_ROUNDS = 5  # what is left out may have been the last to use something else
_COMMENT = re.compile(r"\s*#\s*lint\s*:\s*ignore\s+(?P<ids>P\d+(?:\s*,\s*P\d+)*)\s+because\s.*")


@dataclass(frozen=True, slots=True)
class Change:
    """A file that was repaired: its bytes before and after, and the issues that are gone."""

    path: Path
    before: bytes
    after: bytes
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A span of a text, by offsets, and what stands there instead."""

    start: int
    end: int
    text: str = ""


def repair(files: Files, known: Known, *, read: Read = read_file) -> tuple[list[Change], Report]:
    """Work out all repairs, and what is left to complain of after them; writes nothing."""
    work = _Repair(files, known, read)
    while any(work.improve(path) for path in files):
        pass  # what was left out may have been the last to use something else; every round makes a file shorter
    return work.changes(), work.report


class _Repair:
    """Tries changes in memory."""

    def __init__(self, files: Files, known: Known, read: Read) -> None:
        self._files = files
        self._known = known
        self._original = read
        self._content: dict[Path, bytes] = {}
        self._gone: dict[Path, list[Issue]] = {}
        self.report = examined(files, known, read=self._read)

    def changes(self) -> list[Change]:
        """All that was changed, by file."""
        return [
            Change(path, self._original(path), content, tuple(self._gone[path]))
            for path, content in self._content.items()
        ]

    def improve(self, path: Path) -> bool:
        """Repair what can be repaired in a file together, or else the first that can be alone."""
        own = [issue for issue in self.report.issues if issue.fixable and str(issue.position.file) == str(path)]
        alone = ([issue] for issue in own) if len(own) > 1 else ()
        return bool(own) and any(self._attempt(path, chosen) for chosen in (own, *alone))

    def _read(self, path: Path) -> bytes:
        return self._content[path] if path in self._content else self._original(path)

    def _attempt(self, path: Path, issues: Sequence[Issue]) -> bool:
        content = self._read(path)
        repaired = _without(content, path, issues)
        if repaired is None:
            return False
        before, self._content[path] = self._content.get(path), repaired
        report = examined(self._files, self._known, read=self._read)
        known = {(issue.id, str(issue.position.file), issue.message) for issue in self.report.issues}
        worse = (i for i in report.issues if (i.id, str(i.position.file), i.message) not in known and not i.fixable)
        if next(worse, None) is not None:
            self._restore(path, before)
            return False
        self.report = report
        self._gone.setdefault(path, []).extend(issues)
        return True

    def _restore(self, path: Path, before: bytes | None) -> None:
        if before is None:
            del self._content[path]
        else:
            self._content[path] = before


def _without(content: bytes, path: Path, issues: Iterable[Issue]) -> bytes | None:
    """The content without what the issues are about; None if nothing can be cut out safely."""
    ends = content.count(b"\n"), content.count(b"\r\n")
    if ends[1] not in (0, ends[0]):
        return None  # of mixed line ends some would change
    text = text_of(content)
    cuts = _apart(_cuts(text, path, issues))
    if not cuts:
        return None
    for cut in reversed(cuts):
        text = text[: cut.start] + cut.text + text[cut.end :]
    if ends[1]:
        text = text.replace("\n", "\r\n")
    return (b"\xef\xbb\xbf" if content.startswith(b"\xef\xbb\xbf") else b"") + text.encode()


def _apart(cuts: Iterable[Cut]) -> list[Cut]:
    """The cuts in order, without those that touch an earlier one."""
    found: list[Cut] = []
    for cut in sorted(cuts, key=lambda each: (each.start, each.end)):
        if not found or cut.start >= found[-1].end:
            found.append(cut)
    return found


def _cuts(text: str, path: Path, issues: Iterable[Issue]) -> Iterator[Cut]:
    root = parse(text)
    document = document_from(text.encode(), path, error=PolicyError)
    comments: dict[Position, set[str]] = {}
    for issue in issues:
        cut = None
        if issue.id == "P123":
            comments.setdefault(issue.position, set()).add(str(issue.loc[-1]))
        elif issue.id == "P113":
            cut = _of_expression(text, document, issue)
        else:
            cut = _of_entry(text, root, issue.loc)
        if cut is not None:
            yield cut
    for position, ids in comments.items():
        yield _of_comment(text, position, ids)


def _of_comment(text: str, position: Position, ids: set[str]) -> Cut:
    start = _line_start(text, position.line)
    end = _line_end(text, start)
    at = start + position.column - 1
    found = _COMMENT.match(text, at, end)
    kept = [id_ for id_ in re.findall(r"P\d+", found["ids"]) if id_ not in ids] if found else []
    if found and kept:
        return Cut(found.start("ids"), found.end("ids"), ", ".join(kept))
    if text[start:at].strip():
        return Cut(start + len(text[start:at].rstrip()), end)
    return Cut(start, min(end + 1, len(text)))


def _of_expression(text: str, document: Document, issue: Issue) -> Cut | None:
    """From the end of the operand before to the end of the one that is repeated, if only an operator is between."""
    source = _at(document.data, issue.loc)
    if issue.span is None or not isinstance(source, str):
        return None
    first, last = (_offset(text, document, issue.loc, source, end - 1) + 1 for end in issue.span)
    removed = source[issue.span[0] : issue.span[1]].lstrip()
    if not removed.startswith(("&&", "||")) or "//" in text[first:last] or first >= last:
        return None
    return Cut(first, last)


def _offset(text: str, document: Document, loc: Sequence[str | int], source: str, offset: int) -> int:
    position = document.position_in(loc, *line_column(source, offset))
    return _line_start(text, position.line) + position.column - 1


def _at(data: object, loc: Sequence[str | int]) -> object:
    for step in loc:
        data = data[step]  # type: ignore[index]  # the place comes from the same document
    return data


def _of_entry(text: str, root: Node, loc: Sequence[str | int]) -> Cut | None:
    """The entry of a mapping or the item of a sequence; the whole section if it is its only entry."""
    parent = _node(root, loc[:-1])
    if len(parent.children) == 1:
        # A list without items is a fault; a section without entries is none, and goes with its key.
        return _of_entry(text, root, loc[:-1]) if isinstance(loc[-1], str) and len(loc) > 1 else None
    in_braces = text[parent.start.offset] in "{["
    return _in_braces(text, parent, loc[-1]) if in_braces else _of_lines(text, parent, loc[-1])


def _node(root: Node, loc: Sequence[str | int]) -> Node:
    for step in loc:
        root = root.children[step]
    return root


def _start(parent: Node, name: str | int) -> int:
    return parent.keys[name].offset if isinstance(name, str) else parent.children[name].start.offset


def _in_braces(text: str, parent: Node, name: str | int) -> Cut | None:
    names = list(parent.children)
    place = names.index(name)
    if place + 1 < len(names):
        cut = Cut(_start(parent, name), _start(parent, names[place + 1]))
    else:
        cut = Cut(parent.children[names[place - 1]].end.offset, parent.children[name].end.offset)
    return None if "#" in text[cut.start : cut.end] else cut


def _of_lines(text: str, parent: Node, name: str | int) -> Cut | None:
    """Whole lines; comments above stay, those beside go."""
    start = _start(parent, name)
    line = text.rfind("\n", 0, start) + 1
    before = text[line:start].strip()
    if before != ("" if isinstance(name, str) else "-"):
        return None  # something else begins on the same line
    last = _last(parent.children[name], text)
    end = _line_end(text, last)
    return Cut(line, min(end + 1, len(text)))


def _last(node: Node, text: str) -> int:
    """Where the last character of a value stands; what follows a block on later lines is not part of it."""
    in_braces = text[node.start.offset : node.start.offset + 1] in ("{", "[")
    if node.children and not in_braces:
        return _last(list(node.children.values())[-1], text)
    return max(node.start.offset, node.start.offset + len(text[node.start.offset : node.end.offset].rstrip()) - 1)


def _line_start(text: str, line: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.index("\n", start) + 1
    return start


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def write(change: Change) -> None:
    """Put the repaired bytes in place of a file at once, if it still is what was looked at; keeps its mode.

    Raises:
        PolicyError: it was changed meanwhile, or cannot be written.
    """
    path = change.path.resolve()  # of a link, the file it leads to
    if read_file(path) != change.before:
        raise PolicyError("the file was changed meanwhile", position=Position(change.path), hint="lint again")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(change.after)
                file.flush()
                os.fsync(file.fileno())
            shutil.copymode(path, name)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        raise PolicyError(f"cannot be written: {reason}", position=Position(change.path)) from None
