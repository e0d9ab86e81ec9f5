"""Policies that are shipped: the starter, and packs, each of which puts a publication into rules.

A pack is a file to be copied into a deployment, read, tried in shadow and changed there: what it says then is the risk
team's own, is signed like any policy, and no new version of this package changes it unseen. Beside each stands the file
of its tests.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from paycordon.documents import did_you_mean
from paycordon.errors import ConfigError, PolicyError, Position
from paycordon.policy.load import policy_from
from paycordon.policy.model import Policy

_STARTER = "starter"
_ENDING, _TESTS = ".yaml", ".test.yaml"


def starter_policy() -> str:
    """The text of the policy that `paycordon init` writes: a commented start to be edited."""
    return _content(f"{_STARTER}{_ENDING}").decode("utf-8")


def pack_names() -> tuple[str, ...]:
    """The names of all packs, in order."""
    names = [entry.name for entry in files(__name__).iterdir()]
    return tuple(
        sorted(
            name.removesuffix(_ENDING)
            for name in names
            if name.endswith(_ENDING) and not name.endswith(_TESTS) and name != f"{_STARTER}{_ENDING}"
        )
    )


def pack_file(name: str) -> str:
    """The name of the file that a pack is copied to."""
    return f"{name}{_ENDING}"


def pack_content(name: str) -> bytes:
    """The policy of a pack, as it stands in its file.

    Raises:
        ConfigError: there is no such pack.
    """
    if name not in pack_names():
        known = ", ".join(f"`{each}`" for each in pack_names())
        raise ConfigError(f"there is no pack `{name}`", hint=did_you_mean(name, pack_names()) or f"packs are {known}")
    return _content(pack_file(name))


def pack(name: str) -> Policy:
    """Load a pack.

    Raises:
        ConfigError: there is no such pack.
    """
    return policy_from(pack_content(name), pack_file(name))


def install(name: str, directory: Path) -> list[Path]:
    """Copy a pack and its tests into a directory with policies, and return the files made.

    Raises:
        ConfigError: there is no such pack.
        PolicyError: one of the files is there already, or the directory cannot be written; nothing was changed then.
    """
    made: list[Path] = []
    content = {
        directory / pack_file(name): pack_content(name),
        directory / f"{name}{_TESTS}": _content(f"{name}{_TESTS}"),
    }
    for path in content:
        if path.exists() or path.is_symlink():
            hint = "it may be your own by now; move it away, or keep it"
            raise PolicyError("exists already", position=Position(path), hint=hint)
    try:
        # The tests first: a policy takes effect as soon as it is there.
        for path, text in reversed(content.items()):
            with path.open("xb") as file:
                made.append(path)
                file.write(text)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        reason = (error.strerror or type(error).__name__).lower()
        raise PolicyError(f"cannot be written: {reason}", position=Position(directory)) from None
    return sorted(made)


def _content(file: str) -> bytes:
    return files(__name__).joinpath(file).read_bytes()
