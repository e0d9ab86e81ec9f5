"""Which policies to judge by: files, directories with bindings and rates, or either at a revision of git."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from paycordon.backtest.judge import Selection
from paycordon.config import BINDINGS_FILE, RATES_FILE
from paycordon.errors import PolicyError, Position
from paycordon.policy import PolicyFiles, load_set
from paycordon.policy.lists import Items
from paycordon.policy.load import read_file

_GIT_TIMEOUT_S = 30


class _Remembering:
    """Reads each file once, and keeps what it said."""

    def __init__(self, read: Callable[[Path], bytes]) -> None:
        self._read = read
        self.content: dict[Path, bytes] = {}

    def __call__(self, path: Path) -> bytes:
        if path not in self.content:
            self.content[path] = self._read(path)
        return self.content[path]


def select(given: Sequence[str], stored: Mapping[str, Items] = MappingProxyType({})) -> Selection:
    """Read policies, and compile them once to know which other files they name.

    Args:
        given: paths of policy files or of directories, or one `REVISION:PATH` of git.
        stored: the lists that are kept in the store.

    Raises:
        PolicyError: there is no such file or revision, or something in a file is wrong; says where.
    """
    revision = _revision(given[0]) if len(given) == 1 else None
    files, read = _at_revision(*revision) if revision else (_on_disk([Path(each) for each in given]), read_file)
    remembering = _Remembering(read)
    load_set(files, read=remembering, stored=stored)
    return Selection(", ".join(given), files, remembering.content, dict(stored))


def _revision(given: str) -> tuple[str, str] | None:
    revision, colon, path = given.partition(":")
    return (revision, path) if colon and not Path(given).exists() else None


def _on_disk(paths: Sequence[Path]) -> PolicyFiles:
    directories = [path for path in paths if path.is_dir()]
    every = [file for path in paths for file in (_policies(sorted(path.glob("*.yaml"))) if path.is_dir() else [path])]
    if not every:
        raise PolicyError(
            "there is no policy in it", position=Position(paths[0]), hint="name a directory with policies"
        )
    return PolicyFiles(tuple(every), _beside(directories, BINDINGS_FILE), _beside(directories, RATES_FILE))


def _policies(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if file.name != BINDINGS_FILE and not file.name.endswith(".test.yaml")]


def _beside(directories: Sequence[Path], name: str) -> Path | None:
    found = [directory / name for directory in directories if (directory / name).is_file()]
    if len(found) > 1:
        raise PolicyError(f"there are several `{name}`", position=Position(found[1]), hint="name one directory")
    return found[0] if found else None


def _at_revision(revision: str, path: str) -> tuple[PolicyFiles, Callable[[Path], bytes]]:
    """Find the files of a revision; the paths of such files begin with the revision."""
    root = PurePosixPath(path or ".")
    tree = f"{revision}:{'' if str(root) == '.' else f'./{root}'}"
    kind = _git("cat-file", "-t", tree).decode().strip()
    place = Path(f"{revision}:{root}")

    def read(file: Path) -> bytes:
        relative = file.relative_to(place if kind == "tree" else place.parent)
        directory = root if kind == "tree" else root.parent
        return _git("show", f"{revision}:./{directory / relative}")

    if kind != "tree":
        return PolicyFiles((place,)), read
    names = sorted(name for name in _git("ls-tree", "--name-only", "-z", tree).decode().split("\0") if name)
    policies = _policies([place / name for name in names if name.endswith(".yaml")])
    if not policies:
        raise PolicyError("there is no policy in it", position=Position(place), hint="name a directory with policies")
    bindings = place / BINDINGS_FILE if BINDINGS_FILE in names else None
    return PolicyFiles(tuple(policies), bindings, place / RATES_FILE if RATES_FILE in names else None), read


def _git(*command: str) -> bytes:
    """Ask git.

    Raises:
        PolicyError: it is not installed, or knows no such thing.
    """
    try:
        done = subprocess.run(  # noqa: S603  # nothing is run but git, and no argument can be an option of it
            ["git", *command[:-1], "--end-of-options", command[-1]],  # noqa: S607
            capture_output=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise PolicyError("git cannot be run", hint="name a file or a directory instead") from None
    if done.returncode != 0:
        hint = "name a file, a directory, or `REVISION:PATH`"
        raise PolicyError(f"git knows no `{command[-1]}`", hint=hint)
    return done.stdout
