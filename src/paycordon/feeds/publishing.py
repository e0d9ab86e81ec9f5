"""Make and renew signed bundles: what a coalition, or a member that shares, does at its side of `feeds.bundle`.

A directory of keys holds one Ed25519 key for each role of TUF, in PEM without a password; keep `root.pem` and
`targets.pem` offline and the two others where bundles are renewed. A bundle is a directory of plain files for any web
server: `metadata/` and `targets/`. Files are written under new names first and `timestamp.json` last, so that whoever
reads in between, or after a crash, sees the bundle before or the new one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paycordon.coalition.identifiers import LOW_ENTROPY, Digester
from paycordon.errors import ConfigError, FeedRefused
from paycordon.events import Identifier, IdentifierKind
from paycordon.feeds.bundle import FORMAT, TARGET
from paycordon.feeds.items import Item, digests_of

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


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: how many items, and the versions of bundle and timestamp."""

    items: int
    bundle: int
    timestamp: int


def keyed(items: Iterable[Item], digester: Digester) -> list[Item]:
    """Replace plain values by digests under a key that the readers have too; nothing of low entropy leaves plain.

    Raises:
        FeedRefused: a value cannot be taken.
    """
    return [
        item.model_copy(update={"value": None, "country": None, "digest": digest})
        for number, item in enumerate(items, start=1)
        for digest in digests_of(item, digester, f"line {number}")
    ]


def check_plain(items: Iterable[Item]) -> None:
    """Refuse to publish plain values that a digest could not hide either, such as telephone numbers.

    Raises:
        FeedRefused: an item is of such a kind.
    """
    for number, item in enumerate(items, start=1):
        known = item.kind in set(IdentifierKind)
        if item.value is not None and (item.kind in LOW_ENTROPY or not known):
            raise FeedRefused(f"line {number}: values of the kind `{item.kind}` never leave without a key")
        if item.value is not None:
            Identifier(kind=item.kind, value=item.value)


def publish(items: Iterable[Item], to: Path, keys: Path, now: datetime) -> Published:
    """Publish items as a bundle's whole content; makes keys and bundle if there are none yet.

    Args:
        items: all that the source says now.
        to: the bundle's directory.
        keys: the directory of the keys.
        now: what time it is, UTC.

    Raises:
        ConfigError: there is a bundle, and a key is missing.
        OSError: a place cannot be written.
    """
    from tuf.api.metadata import TargetFile, Targets

    roles = ROLES if not _newest(to, "root") else ROLES[1:]  # the key of the root may be elsewhere by then
    signers = _signers(keys, new=not (to / "metadata" / "timestamp.json").exists(), roles=roles)
    said = list(items)
    data = _content(said)
    target = TargetFile.from_data(TARGET, data, ["sha256"])
    target.unrecognized_fields["custom"] = {"format": FORMAT}
    _write(to / "targets" / f"{target.hashes['sha256']}.{TARGET}", data)
    _ensure_root(to, signers, now)
    version = _newest(to, "targets") + 1
    targets = Targets(version, expires=now + LASTS["targets"], targets={TARGET: target})
    _sign(to, targets, signers["targets"], f"{version}.targets.json")
    return Published(len(said), version, _renew(to, signers, now, version))


def digest_of_content(items: Iterable[Item]) -> str:
    """Return the SHA-256 of what a bundle of these items holds, to tell whether it is published already."""
    return hashlib.sha256(_content(items)).hexdigest()


def renew(to: Path, keys: Path, now: datetime) -> int:
    """Say that the bundle is still the newest one, for another while; returns the version of the timestamp.

    Raises:
        ConfigError: there is no bundle, or a key is missing.
    """
    version = _newest(to, "targets")
    if not version:
        raise ConfigError(f"there is no bundle in `{to}`", hint="publish one first")
    return _renew(to, _signers(keys, new=False, roles=("snapshot", "timestamp")), now, version)


def rotate(role: str, to: Path, keys: Path, now: datetime) -> None:
    """Replace a role's key: the new root is signed by the old root key and, if that changes, by the new one.

    What the role had signed before is not trusted any more: publish again right after this.

    Raises:
        ConfigError: there is no such role, no bundle, or a key is missing.
    """
    from securesystemslib.signer import CryptoSigner

    if role not in ROLES:
        raise ConfigError(f"there is no role `{role}`", hint=f"roles: {', '.join(ROLES)}")
    signers = _signers(keys, new=False)
    metadata = _read(to, "root")
    fresh = CryptoSigner.generate_ed25519()
    metadata.signed.revoke_key(signers[role].public_key.keyid, role)
    metadata.signed.add_key(fresh.public_key, role)
    metadata.signed.version += 1
    metadata.signed.expires = now + LASTS["root"]
    metadata.sign(signers["root"])
    if role == "root":
        metadata.sign(fresh, append=True)
    _write(keys / f"{role}.pem", fresh.private_bytes, secret=True)
    _write(to / "metadata" / f"{metadata.signed.version}.root.json", metadata.to_bytes())


def _content(items: Iterable[Item]) -> bytes:
    lines = (item.model_dump_json(exclude_none=True, exclude_defaults=True) for item in items)
    return "".join(f"{line}\n" for line in lines).encode()


def _renew(to: Path, signers: Mapping[str, CryptoSigner], now: datetime, targets: int) -> int:
    from tuf.api.metadata import MetaFile, Snapshot, Timestamp

    version = _newest(to, "snapshot") + 1
    snapshot = Snapshot(version, expires=now + LASTS["snapshot"], meta={"targets.json": MetaFile(targets)})
    _sign(to, snapshot, signers["snapshot"], f"{version}.snapshot.json")
    before = to / "metadata" / "timestamp.json"
    number = _read_file(before).signed.version + 1 if before.exists() else 1
    timestamp = Timestamp(number, expires=now + LASTS["timestamp"], snapshot_meta=MetaFile(version))
    _sign(to, timestamp, signers["timestamp"], "timestamp.json")
    return number


def _ensure_root(to: Path, signers: Mapping[str, CryptoSigner], now: datetime) -> None:
    from tuf.api.metadata import Root

    if _newest(to, "root"):
        return
    root = Root(1, expires=now + LASTS["root"], consistent_snapshot=True)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    _sign(to, root, signers["root"], "1.root.json")


def _signers(keys: Path, *, new: bool, roles: Iterable[str] = ROLES) -> dict[str, CryptoSigner]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    found: dict[str, CryptoSigner] = {}
    for role in roles:
        path = keys / f"{role}.pem"
        if new and not path.exists():
            _write(path, CryptoSigner.generate_ed25519().private_bytes, secret=True)
        try:
            key: Any = load_pem_private_key(path.read_bytes(), None)
            found[role] = CryptoSigner(key)
        except (OSError, ValueError, TypeError):
            raise ConfigError(f"the key `{path}` cannot be read") from None
    return found


def _sign(to: Path, signed: Any, signer: CryptoSigner, name: str) -> None:
    from tuf.api.metadata import Metadata

    metadata = Metadata(signed)
    metadata.sign(signer)
    _write(to / "metadata" / name, metadata.to_bytes())


def _newest(to: Path, role: str) -> int:
    numbers = [int(path.name.partition(".")[0]) for path in (to / "metadata").glob(f"*.{role}.json")]
    return max(numbers, default=0)


def _read(to: Path, role: str) -> Any:
    version = _newest(to, role)
    if not version:
        raise ConfigError(f"there is no bundle in `{to}`", hint="publish one first")
    return _read_file(to / "metadata" / f"{version}.{role}.json")


def _read_file(path: Path) -> Any:
    from tuf.api.metadata import Metadata

    return Metadata.from_file(str(path))


def _write(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write a file whole, or not at all; a key is for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
