"""The metadata, keys and files of a signed bundle, for `feeds.publishing`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paycordon.errors import ConfigError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

ROLES = ("root", "targets", "snapshot", "timestamp")
LASTS: Mapping[str, timedelta] = {
    "root": timedelta(days=365),
    "targets": timedelta(days=90),
    "snapshot": timedelta(days=7),
    "timestamp": timedelta(days=1),
}
"""How long each role's word lasts; a bundle that is not renewed (`renew`) within a day is refused as frozen."""


@contextmanager
def alone(keys: Path, *, new: bool = False) -> Iterator[None]:
    """Let nobody else publish with these keys meanwhile; makes their directory if it may be new.

    Raises:
        ConfigError: there is no such directory.
    """
    if new:
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    elif not keys.is_dir():
        raise ConfigError(f"there is no directory `{keys}`", hint="name the one of the publisher's keys")
    descriptor = os.open(keys / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def signers(keys: Path, *, new: bool, roles: Iterable[str] = ROLES) -> dict[str, CryptoSigner]:
    """Read the keys of some roles; `new`: make those that are missing.

    Raises:
        ConfigError: one of them cannot be read.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    found: dict[str, CryptoSigner] = {}
    for role in roles:
        path = keys / f"{role}.pem"
        if new and not path.exists():
            write(path, CryptoSigner.generate_ed25519().private_bytes, secret=True)
        try:
            key: Any = load_pem_private_key(path.read_bytes(), None)
            found[role] = CryptoSigner(key)
        except (OSError, ValueError, TypeError):
            raise ConfigError(f"the key `{path}` cannot be read") from None
    return found


def ensure_root(to: Path, signers: Mapping[str, CryptoSigner], now: datetime) -> None:
    """Sign the first root, unless there is one."""
    from tuf.api.metadata import Root

    if newest(to, "root"):
        return
    root = Root(1, expires=now + LASTS["root"], consistent_snapshot=True)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    sign(to, root, signers["root"], "1.root.json")


def renew(to: Path, signers: Mapping[str, CryptoSigner], now: datetime, targets: int) -> int:
    """Let readers find a version of the targets, for another while; returns the version of the timestamp."""
    from tuf.api.metadata import MetaFile, Snapshot, Timestamp

    version = newest(to, "snapshot") + 1
    snapshot = Snapshot(version, expires=now + LASTS["snapshot"], meta={"targets.json": MetaFile(targets)})
    sign(to, snapshot, signers["snapshot"], f"{version}.snapshot.json")
    before = to / "metadata" / "timestamp.json"
    number = read_file(before).signed.version + 1 if before.exists() else 1
    timestamp = Timestamp(number, expires=now + LASTS["timestamp"], snapshot_meta=MetaFile(version))
    sign(to, timestamp, signers["timestamp"], "timestamp.json")
    metadata = to / "metadata"
    kept = {"timestamp.json", f"{version}.snapshot.json", f"{targets}.targets.json"}
    kept |= {each.name for each in metadata.glob("*.root.json")}
    tidy(metadata, kept, (f"{version - 1}.snapshot.json", f"{targets - 1}.targets.json"), now)
    return number


def tidy(place: Path, kept: Collection[str], gone: Iterable[str], now: datetime) -> None:
    """Delete what nobody reads any more, and note of what has just gone out of use that it has.

    Whoever fetched a timestamp reads what it leads to for as long as that timestamp counts: a file that no metadata
    names any more stays as long. The time of its change says since when.
    """
    at = now.timestamp()
    for name in gone:
        if name not in kept and (place / name).exists():
            os.utime(place / name, (at, at))
    with os.scandir(place) as found:
        old = [each for each in found if each.name not in kept and each.is_file()]
    for each in old:
        if each.stat().st_mtime < at - LASTS["timestamp"].total_seconds():
            Path(each.path).unlink(missing_ok=True)


def sign(to: Path, signed: Any, signer: CryptoSigner, name: str) -> None:
    """Sign metadata and write it."""
    from tuf.api.metadata import Metadata

    metadata = Metadata(signed)
    metadata.sign(signer)
    write(to / "metadata" / name, metadata.to_bytes())


def newest(to: Path, role: str) -> int:
    """Return the newest version of a role's metadata; 0 if there is none."""
    numbers = [int(path.name.partition(".")[0]) for path in (to / "metadata").glob(f"*.{role}.json")]
    return max(numbers, default=0)


def read(to: Path, role: str) -> Any:
    """Read the newest metadata of a role.

    Raises:
        ConfigError: there is none.
    """
    version = newest(to, role)
    if not version:
        raise ConfigError(f"there is no bundle in `{to}`", hint="publish one first")
    return read_file(to / "metadata" / f"{version}.{role}.json")


def read_file(path: Path) -> Any:
    """Read metadata as it is written."""
    from tuf.api.metadata import Metadata

    return Metadata.from_file(str(path))


def write(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write a file whole, or not at all; a key is for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
