"""Put the files of an earlier policy set back beside each other: all of them, or what was there stays in force.

Several files cannot be replaced in one step. So a marker is written first, which nobody reads past: a process that dies
half-way leaves a directory that every running process refuses to read, and the same command brings it to its end. What
is replaced or taken away is kept in a directory of its own, whether it was ever committed or not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from paycordon.config import Config
from paycordon.errors import ConfigError, Conflict
from paycordon.policy.load import PolicyFiles, load_set, root_of
from paycordon.policy.model import PolicySet
from paycordon.policy.signing import Signature
from paycordon.reload import MARKER
from paycordon.store import policies as kept

REPLACED = ".replaced"


@dataclass(frozen=True, slots=True)
class Replaced:
    """What putting a set back did.

    Attributes:
        written: the files that are different or new now, from the directory of the first policy.
        removed: the files that are not there any more, because the set has none of them.
        backup: where what was there before is; none if nothing was.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    backup: Path | None


def replace(
    config: Config, earlier: PolicySet, files: PolicyFiles, signatures: Sequence[Signature], now: datetime
) -> Replaced:
    """Make the policy files those of an earlier set.

    Args:
        config: says where they are.
        earlier: the set, as it was loaded from the store: only what belongs to it is written.
        files: where its files belong.
        signatures: what is put beside them.
        now: names the directory in which the present files are kept.

    Raises:
        Conflict: the configuration takes its policies from other places than it did then; either nothing is changed,
            or the marker stays until the configuration is right.
        ConfigError: files cannot be written; the marker stays, and running this again brings it to its end.
    """
    root = root_of(files)
    contents = {kept.path_from(source.path, root): source.content for source in earlier.sources}
    _refuse_elsewhere(contents, root)
    present = _present(config, root)
    _refuse_named(config, present - contents.keys(), root)
    written = tuple(sorted(path for path, content in contents.items() if _bytes(root / path) != content))
    removed = tuple(sorted(present - contents.keys()))
    backup = root / REPLACED / now.strftime("%Y%m%dT%H%M%SZ")
    overwritten = [path for path in (*written, *removed) if (root / path).exists()]
    try:
        write(root / MARKER, earlier.digest.encode())
        for path in overwritten:
            write(_free(backup / path.replace("..", "_up")), (root / path).read_bytes())
        for path in written:
            write(root / path, contents[path])
        for path in removed:  # last: a directory without any policy could not be told from a wrong configuration
            (root / path).unlink()
        for signature in signatures:
            write(root / signature.file, signature.text.encode())
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = "the policies in force stay; make room or set permissions, then run it again"
        raise ConfigError(f"`{error.filename}` cannot be written: {reason}", hint=hint) from None
    _confirm(config, earlier)
    (root / MARKER).unlink()
    return Replaced(written, removed, backup if overwritten else None)


def _present(config: Config, root: Path) -> set[str]:
    """Return the files that judge as the directory is now; those that only a readable set names are left alone."""
    files = config.policy_files()
    beside = [path for path in (files.bindings, files.rates) if path is not None]
    return {kept.path_from(path, root) for path in (*files.policies, *beside)}


def _refuse_elsewhere(paths: Iterable[str], root: Path) -> None:
    for path in paths:
        if not (root / path).parent.is_dir() and path.startswith(".."):
            raise Conflict(f"the set has a file `{path}`, and there is no such directory beside the policies any more")


def _refuse_named(config: Config, removed: Iterable[str], root: Path) -> None:
    for path in removed:
        if config.names(root / path):
            hint = "take it out of the configuration first; nothing was changed"
            raise Conflict(f"the configuration names `{path}`, and the set has no such file: {hint}")


def _confirm(config: Config, earlier: PolicySet) -> None:
    if load_set(config.policy_files()).digest != earlier.digest:
        message = "the files are written, but the configuration takes its policies from other places than it did then"
        raise Conflict(f"{message}; the policies in force stay until `policies` in it names the same directories")


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _free(path: Path) -> Path:
    """Return a path at which nothing is yet: two attempts within one second keep both."""
    number = 0
    while (free := path.with_name(f"{path.name}.{number}") if number else path).exists():
        number += 1
    return free


def write(path: Path, content: bytes) -> None:
    """Write a whole file or none, for certain."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
