"""A new adapter, ready to be filled in: `paycordon adapter new`.

What is written runs at once: its conformance suite starts red, and names in order what is to be done. The pieces are
those of the tutorial, `examples/new_gateway`, without what only the gateway's own documentation can say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from paycordon.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_RESERVED = frozenset({"paycordon", "stripe", "adyen", "testing"})
_PARTS = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "src/paycordon_@name@/__init__.py": "init.py.txt",
    "src/paycordon_@name@/py.typed": None,
    "src/paycordon_@name@/gateway.py": "gateway.py.txt",
    "tests/conftest.py": "conftest.py.txt",
    "tests/simulator.py": "simulator.py.txt",
    "tests/test_conformance.py": "test_conformance.py.txt",
}


def write(name: str, directory: Path) -> list[Path]:
    """Write a distribution for a gateway's adapter into a directory that must not exist; returns the files.

    Args:
        name: of the gateway, as the configuration will call it: `acme_pay`.
        directory: where to; made.

    Raises:
        ConfigError: the name cannot be one, or is taken; the directory exists or cannot be made.
    """
    if not _NAME.fullmatch(name) or len(name) > 40:
        hint = "lower-case letters and digits, words joined by `_`, such as `acme_pay`"
        raise ConfigError(f"`{name}` cannot be an adapter's name", hint=hint)
    if name in _RESERVED:
        raise ConfigError(f"`{name}` is taken", hint="choose another name")
    if directory.exists():
        raise ConfigError(f"`{directory}` exists already", hint="choose another with `--directory`")
    words = {"@name@": name, "@Name@": "".join(word.capitalize() for word in name.split("_"))}
    words |= {"@title@": " ".join(word.capitalize() for word in name.split("_")), "@dist@": name.replace("_", "-")}
    try:
        return [_put(directory / _filled(place, words), part, words) for place, part in _PARTS.items()]
    except OSError as error:
        raise ConfigError(f"`{directory}` cannot be written: {error.strerror}") from None


def _put(path: Path, part: str | None, words: Mapping[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = files(__package__).joinpath(part).read_text(encoding="utf-8") if part else ""
    path.write_text(_filled(text, words), encoding="utf-8")
    return path


def _filled(text: str, words: Mapping[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text
