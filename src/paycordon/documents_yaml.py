"""The strict subset of YAML that files of this project are written in, with the place of every key and value.

Mappings, sequences and scalars of YAML 1.2; no anchors, aliases, tags, merge keys, directives or second documents,
because each of them lets a file mean something else than a reader sees. `NO` and `12:30` stay text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError

MAX_DEPTH = 32
_PREFIX = "tag:yaml.org,2002:"


class Mark(NamedTuple):
    """A place in a text: line and column from 1, offset from 0."""

    line: int = 1
    column: int = 1
    offset: int = 0


class YamlRefused(Exception):
    """The text is not of the subset; `mark` says where."""

    def __init__(self, message: str, mark: Mark, hint: str | None = None) -> None:
        self.mark = mark
        self.hint = hint
        super().__init__(message)


@dataclass(slots=True)
class Node:
    """A value with where it stands; `children` and `keys` are those of a mapping or sequence."""

    value: JsonValue
    start: Mark
    end: Mark
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str, Mark] = field(default_factory=dict)


def parse(text: str) -> Node:
    """Read a text whose root is a mapping.

    Raises:
        YamlRefused: malformed, outside the subset, or nested deeper than `MAX_DEPTH`.
    """
    root = _Builder().build(text)
    if root is None:
        raise YamlRefused("the file is empty", Mark(), "it has to hold a mapping of keys to values")
    if not isinstance(root.value, dict):
        raise YamlRefused("the file does not hold a mapping", root.start, "write `key: value` lines")
    return root


class _Builder:
    """Builds nodes from parser events without recursion, refusing what is outside the subset as it appears."""

    def __init__(self) -> None:
        self._yaml = YAML(typ="safe", pure=True)
        self._stack: list[Node] = []
        self._pending: list[tuple[str, Mark] | None] = []
        self._root: Node | None = None

    def build(self, text: str) -> Node | None:
        for event in _events(self._yaml, text):
            kind = type(event).__name__.removesuffix("Event")
            mark = _mark(event.start_mark)
            _refuse_tricks(kind, event, mark)
            if kind == "Scalar":
                self._scalar(event, mark)
            elif kind in ("MappingStart", "SequenceStart"):
                self._open(Node({} if kind == "MappingStart" else [], mark, mark))
            elif kind in ("MappingEnd", "SequenceEnd"):
                self._close(_mark(event.end_mark))
            elif kind == "DocumentStart" and self._root is not None:
                raise YamlRefused("the file holds more than one document", mark, "split it into one file each")
        return self._root

    def _open(self, node: Node) -> None:
        if self._awaits_key():
            raise YamlRefused("a key is not plain text", node.start)
        if len(self._stack) >= MAX_DEPTH:
            raise YamlRefused(f"nested deeper than {MAX_DEPTH} levels", node.start)
        self._attach(node)
        self._stack.append(node)
        self._pending.append(None)

    def _close(self, end: Mark) -> None:
        self._stack.pop().end = end
        self._pending.pop()

    def _scalar(self, event: Any, mark: Mark) -> None:
        if self._awaits_key():
            self._key(event.value, event.implicit[0], mark)
            return
        value = self._value(event, mark)
        self._attach(Node(value, mark, _mark(event.end_mark)))

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._pending[-1] is None

    def _key(self, name: str, plain: bool, mark: Mark) -> None:
        parent = self._stack[-1]
        if plain and name == "<<":
            raise YamlRefused("merge keys are not taken", mark, "write the keys out")
        if name in parent.keys:
            raise YamlRefused(f"the key `{name}` is given twice", mark, f"first on line {parent.keys[name].line}")
        parent.keys[name] = mark
        self._pending[-1] = (name, mark)

    def _attach(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if isinstance(parent.value, list):
            parent.children[len(parent.value)] = node
            parent.value.append(node.value)
        elif isinstance(parent.value, dict):
            name, _ = self._pending[-1] or ("", None)
            parent.children[name] = node
            parent.value[name] = node.value
            self._pending[-1] = None

    def _value(self, event: Any, mark: Mark) -> JsonValue:
        text: str = event.value
        if not event.implicit[0]:
            return text
        tag = str(self._yaml.resolver.resolve(ScalarNode, text, event.implicit)).removeprefix(_PREFIX)
        try:
            return _scalar(tag, text)
        except ValueError:
            raise YamlRefused("this number cannot be read", mark, "quote it if it is meant as text") from None


def _scalar(tag: str, text: str) -> JsonValue:
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        digits = text.replace("_", "")
        return int(digits, 0 if digits.lstrip("+-")[:2].lower() in ("0x", "0o") else 10)
    if tag == "float":
        number = float(text.replace("_", ""))
        if not math.isfinite(number):
            raise ValueError
        return number
    return text


def _events(yaml: YAML, text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text)
    except ReaderError as error:
        raise YamlRefused("the file holds a character that YAML does not allow", _at_index(text, error)) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(str(part) for part in (error.context, error.problem) if part)
        raise YamlRefused(f"not valid YAML: {what}", _mark(mark) if mark else Mark()) from None
    except (YAMLError, ValueError, RecursionError):
        raise YamlRefused("not valid YAML", Mark()) from None


def _refuse_tricks(kind: str, event: Any, mark: Mark) -> None:
    if kind == "Alias" or getattr(event, "anchor", None):
        raise YamlRefused("anchors and aliases are not taken", mark, "write the value out")
    if kind.endswith("Start") and kind.startswith("Document"):
        if event.version or event.tags:
            raise YamlRefused("YAML directives are not taken", mark, "leave the `%` line out")
    elif getattr(event, "tag", None):
        raise YamlRefused("tags are not taken", mark, "leave out what begins with `!`")


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1, mark.index)


def _at_index(text: str, error: ReaderError) -> Mark:
    index = error.position if isinstance(error.position, int) else 0
    before = text[:index]
    return Mark(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1, index)
