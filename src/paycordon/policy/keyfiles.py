"""A person's key pair as two files: the private one for its owner's eyes only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from paycordon.errors import ConfigError, Position
from paycordon.keys import generate_key, private_key_from, public_key_of

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PRIVATE, _PUBLIC = 0o600, 0o644


def make(name: str, directory: Path) -> tuple[Path, Path]:
    """Make `NAME.pem` and `NAME.pub.pem`, and return both.

    Args:
        name: whose key it is, as it is called in the configuration.
        directory: where; has to exist.

    Raises:
        ConfigError: the name cannot stand in a configuration, a file exists already, or none can be written; nothing
            is left behind then.
    """
    if not _NAME.fullmatch(name):
        hint = "lower-case letters, digits and `_`, beginning with a letter"
        raise ConfigError("the name cannot stand in a configuration", hint=hint)
    private, public = directory / f"{name}.pem", directory / f"{name}.pub.pem"
    pem = generate_key()
    contents = ((private, pem, _PRIVATE), (public, public_key_of(private_key_from(pem, "the key", "")), _PUBLIC))
    made: list[Path] = []
    try:
        for path, content, mode in contents:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
    except OSError as error:
        for path in made:
            path.unlink()
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be made: {reason}", position=Position(str(error.filename))) from None
    return private, public
