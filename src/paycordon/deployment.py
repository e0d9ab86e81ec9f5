"""Make the files of a new deployment: configuration, starter policy, keys. What exists is never touched."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from paycordon.errors import ConfigError, Position

KEY_DIRECTORY = ".paycordon"
_IGNORED = (f"{KEY_DIRECTORY}/", "paycordon.db*")
_PRIVATE, _PUBLIC = 0o600, 0o644

_CONFIG = """\
# The configuration of Paycordon. `paycordon doctor` checks it.
# Secrets are never written here: `file:PATH` and `env:NAME` say where they are.

# Where events, decisions and holds are kept: SQLite, or postgresql://… (then as `env:NAME`, it holds a password).
store: sqlite:///paycordon.db

# What judges. Check your changes with `paycordon policy lint`.
policies:
  - policies

# Identifiers are stored as digests under this key only. Without it no stored indicator matches any more: back it up.
identifier_keys:
  current: k1
  keys:
    k1: file:.paycordon/identifier.key

# Signs checkpoints of the decision log, so that nobody can rewrite it unseen.
log_signing_key: file:.paycordon/log-signing.pem

# What callers of `paycordon serve` present as `Authorization: Bearer …`.
api_token: file:.paycordon/api.token

# Within `budget_ms` a caller has an outcome; `when_unavailable` is that outcome if the store cannot be used.
screening:
  budget_ms: 200
  check_deadline_ms: 50
  when_unavailable: hold

# Settings of checks, by id; `paycordon plugins` lists them with their defaults.
checks: {}
"""
_NO_GATEWAY = """
# Connections to gateways; `paycordon plugins` lists the adapters that are installed.
gateways: {}
"""
_GATEWAY = """
# Connections to gateways, each under a name of yours. Take the `#` away, and set the variables before the start.
# required: [{adapter}]
# gateways:
#   {adapter}_main:
#     adapter: {adapter}
#     mode: test
{settings}"""


def create(directory: Path, adapter: str | None = None) -> list[Path]:
    """Make a deployment in a directory and return the files made.

    Args:
        directory: where; made if it does not exist.
        adapter: name of an installed gateway adapter whose settings are added as a comment.

    Raises:
        ConfigError: a file exists already, the adapter is not installed, or the directory cannot be written; nothing
            is left behind then.
    """
    files = _files(directory, adapter)
    for path in files:
        if path.exists() or path.is_symlink():
            hint = "choose another directory, or move it away; nothing was changed"
            raise ConfigError(f"`{path}` exists already", hint=hint)
    made: list[Path] = []
    try:
        for path, (content, mode) in files.items():
            _make_directory(path.parent, made, 0o700 if path.parent.name == KEY_DIRECTORY else 0o755)
            _write_new(path, content, mode, made)
        _ignore(directory / ".gitignore")
    except OSError as error:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be written: {reason}", position=Position(str(error.filename or directory))) from None
    return list(files)


def _files(directory: Path, adapter: str | None) -> Mapping[Path, tuple[str, int]]:
    from paycordon.keys import generate_key
    from paycordon.policy import starter_policy

    keys = directory / KEY_DIRECTORY
    return {
        keys / "identifier.key": (secrets.token_hex(32), _PRIVATE),
        keys / "log-signing.pem": (generate_key(), _PRIVATE),
        keys / "api.token": (secrets.token_urlsafe(32), _PRIVATE),
        directory / "policies" / "starter.yaml": (starter_policy(), _PUBLIC),
        # Last, so that a configuration never stands there without what it refers to.
        directory / "paycordon.yaml": (_CONFIG + (_gateway(adapter) if adapter else _NO_GATEWAY), _PUBLIC),
    }


def _make_directory(directory: Path, made: list[Path], mode: int) -> None:
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=mode)
        made.append(path)


def _write_new(path: Path, content: str, mode: int, made: list[Path]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    made.append(path)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _ignore(path: Path) -> None:
    """Keep keys and database out of version control; lines that are there already are not added again."""
    present = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    missing = [line for line in _IGNORED if line not in present.splitlines()]
    if missing:
        start = "\n" if present and not present.endswith("\n") else ""
        with path.open("a", encoding="utf-8") as file:
            file.write(start + "\n".join(missing) + "\n")


def _gateway(adapter: str) -> str:
    from paycordon.gateways import GatewaySettings
    from paycordon.plugins import load_all

    adapters = load_all().gateways
    if adapter not in adapters:
        known = ", ".join(f"`{name}`" for name in adapters) or "none"
        hint = f"installed adapters: {known}; pip install paycordon-{adapter}"
        raise ConfigError(f"there is no adapter `{adapter}`", hint=hint)
    lines = []
    for name, field in adapters[adapter].settings_type.model_fields.items():
        if name in GatewaySettings.model_fields or not field.is_required():
            continue
        variable = f"env:{adapter}_{name}".upper().replace("ENV:", "env:").removesuffix("S")
        value = f"[{variable}]" if "tuple" in str(field.annotation) or "list" in str(field.annotation) else variable
        lines.append(f"#     {name}: {value}\n")
    return _GATEWAY.format(adapter=adapter, settings="".join(lines))
