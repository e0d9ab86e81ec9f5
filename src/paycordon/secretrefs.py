"""Secrets in the configuration are references: `env:NAME` or `file:PATH`, never the secret itself.

A configuration file is shown around, committed and copied; a reference in it gives nothing away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from paycordon.documents import Document, Problem, error_from
from paycordon.errors import ConfigError, Position

MAX_SECRET_BYTES = 65_536
_NAMES_A_SECRET = re.compile(r"key|secret|password|token", re.IGNORECASE)
_SCHEMES = ("env:", "file:")
_Loc = tuple[str | int, ...]


def is_reference(value: object) -> bool:
    """Tell whether a value of the configuration refers to a secret."""
    return isinstance(value, str) and value.startswith(_SCHEMES)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where references lead.

    Attributes:
        environ: the environment that `env:` refers to.
        base: the directory that a relative `file:` starts from, that of the configuration file.
    """

    environ: Mapping[str, str]
    base: Path

    def resolve(self, reference: str, position: Position) -> str:
        """Return the secret that `env:NAME` or `file:PATH` refers to; one trailing line break of a file is left out.

        Raises:
            ConfigError: it is not a reference, or what it refers to is missing, empty or unreadable.
        """
        scheme, _, rest = reference.partition(":")
        if scheme == "env":
            secret = self._from_environment(rest, position)
        elif scheme == "file":
            secret = self._from_file(rest, position)
        else:
            raise ConfigError("secrets come only from `env:` or `file:`", position=position, hint="write `env:NAME`")
        if not secret:
            raise ConfigError(f"`{scheme}:{rest}` is empty", position=position)
        return secret

    def _from_environment(self, name: str, position: Position) -> str:
        if name not in self.environ:
            hint = f"set {name} before the start" if name else "write `env:NAME`"
            raise ConfigError(f"the environment variable `{name}` is not set", position=position, hint=hint)
        return self.environ[name]

    def _from_file(self, name: str, position: Position) -> str:
        path = self.base / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
        except OSError as problem:
            reason = (problem.strerror or type(problem).__name__).lower()
            raise ConfigError(f"the secret file `{name}` cannot be read: {reason}", position=position) from None
        if len(content) > MAX_SECRET_BYTES:
            raise ConfigError(f"the secret file `{name}` is larger than 64 KiB", position=position)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"the secret file `{name}` is not UTF-8 text", position=position) from None
        return text.removesuffix("\n").removesuffix("\r")

    def resolve_all(self, document: Document, *sections: str) -> JsonValue:
        """Return the content of a document with every reference in the given sections replaced by its secret.

        Raises:
            ConfigError: as `resolve`, for all references at once.
        """
        data, problems = document.data, list[Problem]()
        if isinstance(data, dict):
            data = {k: self._walk(v, document, (k,), problems) if k in sections else v for k, v in data.items()}
        if problems:
            raise error_from(problems)
        return data

    def _walk(self, value: JsonValue, document: Document, loc: _Loc, problems: list[Problem]) -> JsonValue:
        if isinstance(value, str) and is_reference(value):
            position = document.position(loc)
            try:
                return self.resolve(value, position)
            except ConfigError as error:
                problems.append(Problem(position, error.message, error.hint))
        if isinstance(value, dict):
            return {key: self._walk(inner, document, (*loc, key), problems) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._walk(inner, document, (*loc, index), problems) for index, inner in enumerate(value)]
        return value


def plain_secrets(document: Document, *loc: str) -> Iterable[Problem]:
    """Find secrets written out at `loc`: values under a key named like a secret that are not references."""
    value = document.data
    for step in loc:
        value = value.get(step) if isinstance(value, dict) else None
    named = loc[-1] if _NAMES_A_SECRET.search(loc[-1]) else ""
    return _plain(value, document, loc, named)


def _plain(value: JsonValue, document: Document, loc: _Loc, named: str) -> Iterable[Problem]:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = key if _NAMES_A_SECRET.search(key) else named
            yield from _plain(inner, document, (*loc, key), name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _plain(inner, document, (*loc, index), named)
    elif named and value is not None and not isinstance(value, bool) and not is_reference(value):
        message = f"`{named}` is written in plain text; secrets come only from `env:` or `file:`"
        yield Problem(document.position(loc), message, "write `env:NAME` and set NAME in the environment")
