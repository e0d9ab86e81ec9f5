"""Make and renew signed bundles: what a coalition, or a member that shares, does at its side of `feeds.bundle`.

A directory of keys holds one Ed25519 key for each role of TUF, in PEM without a password; keep `root.pem` and
`targets.pem` offline and the two others where bundles are renewed. A bundle is a directory of plain files for any web
server: `metadata/` and `targets/`. Files are written under new names first and `timestamp.json` last, so that whoever
reads in between, or after a crash, sees the bundle before or the new one.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paycordon.coalition.identifiers import Digester, can_be_found
from paycordon.coalition.indicators import Tlp
from paycordon.errors import ConfigError, FeedRefused
from paycordon.events import Identifier, IdentifierKind
from paycordon.feeds import signing
from paycordon.feeds.items import Item, digests_of
from paycordon.feeds.parts import DIVIDED, FORMAT, PER_PART, Line, Piece, divided, pieces_of, target_name
from paycordon.feeds.signing import LASTS, ROLES

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile


@dataclass(frozen=True, slots=True)
class Published:
    """What was published.

    Attributes:
        items: how many were given.
        parts: how many parts the bundle has.
        written: how many of them are others than before; readers fetch these.
        bundle, timestamp: the versions of both.
    """

    items: int
    parts: int
    written: int
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


def check_marks(items: Iterable[Item]) -> None:
    """Refuse to publish what is marked for those alone who heard it: a bundle is read by whole organisations.

    Raises:
        FeedRefused: an item is TLP:RED.
    """
    for number, item in enumerate(items, start=1):
        if item.tlp is Tlp.RED:
            raise FeedRefused(f"line {number}: TLP:RED is for those who heard it, and goes into no bundle")


def check_plain(items: Iterable[Item]) -> None:
    """Refuse to publish plain values that a digest could not hide either, such as telephone numbers.

    Raises:
        FeedRefused: an item is of such a kind.
    """
    for number, item in enumerate(items, start=1):
        if item.value is not None and can_be_found(item.kind, item.value):
            what = "a URL without a path" if item.kind == IdentifierKind.URL else f"values of the kind `{item.kind}`"
            raise FeedRefused(f"line {number}: {what} can be found by trying, and never leave without a key")
        if item.value is not None:
            Identifier(kind=item.kind, value=item.value)


def publish(items: Iterable[Item], to: Path, keys: Path, now: datetime, *, per_part: int = PER_PART) -> Published:
    """Publish items as a bundle's whole content; makes keys and bundle if there are none yet.

    Only the parts that differ are written, and readers fetch only those.

    Args:
        items: all that the source says now.
        to: the bundle's directory.
        keys: the directory of the keys.
        now: what time it is, UTC.
        per_part: about how many items a part holds; a new bundle of at most twice as many is not divided. It may be
            another number each time.

    Raises:
        ConfigError: there is a bundle, and a key is missing.
        OSError: a place cannot be written.
    """
    lines = _sorted(items)
    with signing.alone(keys, new=True):
        before = _served(to)
        return _release(to, keys, now, _laid(to, lines, before, per_part), before, len(lines))


def publish_if_new(items: Iterable[Item], to: Path, keys: Path, now: datetime) -> None:
    """Publish items as `publish` does, unless readers get just these already."""
    lines = _sorted(items)
    with signing.alone(keys, new=True):
        before = _served(to)
        targets = _laid(to, lines, before, PER_PART)
        if before != _said(targets):
            _release(to, keys, now, targets, before, len(lines))


def publish_changes(
    items: Iterable[Item],
    withdrawn: Collection[str],
    to: Path,
    keys: Path,
    now: datetime,
    *,
    per_part: int = PER_PART,
) -> Published:
    """Publish what has changed of a bundle, if anything has: the cost is that of the parts that hold it.

    Args:
        items: what is said now under their references, in place of all that was said under these.
        withdrawn: references under which nothing is said any more.
        to: the bundle's directory.
        keys: the directory of the keys.
        now: what time it is, UTC.
        per_part: as for `publish`.

    Raises:
        ConfigError: there is no bundle, it is not whole, or a key is missing.
        OSError: a place cannot be written.
    """
    fresh: dict[str, list[str]] = {reference: [] for reference in withdrawn}
    for item in items:
        fresh.setdefault(item.reference, []).append(_line(item))
    with signing.alone(keys):
        before = _served(to)
        if not before:
            raise ConfigError(f"there is no bundle in `{to}`", hint="publish one first, whole")
        pieces = pieces_of(before)
        starts = [piece.part.start for piece in pieces]
        of_piece: dict[int, list[str]] = {}
        for reference in sorted(fresh):
            of_piece.setdefault(bisect_right(starts, reference) - 1, []).append(reference)
        held: list[tuple[str, Sequence[Line] | None]] = []
        for number, piece in enumerate(pieces):
            if number not in of_piece:
                held.append((piece.part.start, None))
                continue
            lines = [line for line in _held(to, piece) if line[0] not in fresh]
            lines += [(reference, line) for reference in of_piece[number] for line in fresh[reference]]
            if lines or not number:
                held += divided(sorted(lines), [piece.part.start], per_part)
        targets: dict[str, TargetFile] = {}
        for start, part in held:
            name = target_name(start)
            targets[name] = _as_before(name, before) if part is None else _target(to, start, part, len(held) > 1)
        if _said(targets) == before:
            return Published(0, len(targets), 0, signing.newest(to, "targets"), _stamp(to))
        return _release(to, keys, now, targets, before, sum(map(len, fresh.values())))


def renew(to: Path, keys: Path, now: datetime) -> int:
    """Say that the bundle is still the newest one, for another while; returns the version of the timestamp.

    Raises:
        ConfigError: there is no bundle, or a key is missing.
    """
    version = signing.newest(to, "targets")
    if not version:
        raise ConfigError(f"there is no bundle in `{to}`", hint="publish one first")
    with signing.alone(keys):
        return signing.renew(to, signing.signers(keys, new=False, roles=("snapshot", "timestamp")), now, version)


def rotate(role: str, to: Path, keys: Path, now: datetime) -> None:
    """Replace a role's key: the new root is signed by the old root key and, if that changes, by the new one.

    What the role had signed before is not trusted any more: publish again right after this.

    Raises:
        ConfigError: there is no such role, no bundle, or a key is missing.
    """
    from securesystemslib.signer import CryptoSigner

    if role not in ROLES:
        raise ConfigError(f"there is no role `{role}`", hint=f"roles: {', '.join(ROLES)}")
    signers = signing.signers(keys, new=False)
    metadata = signing.read(to, "root")
    fresh = CryptoSigner.generate_ed25519()
    metadata.signed.revoke_key(signers[role].public_key.keyid, role)
    metadata.signed.add_key(fresh.public_key, role)
    metadata.signed.version += 1
    metadata.signed.expires = now + LASTS["root"]
    metadata.sign(signers["root"])
    if role == "root":
        metadata.sign(fresh, append=True)
    signing.write(keys / f"{role}.pem", fresh.private_bytes, secret=True)
    signing.write(to / "metadata" / f"{metadata.signed.version}.root.json", metadata.to_bytes())


def _sorted(items: Iterable[Item]) -> list[Line]:
    return sorted((item.reference, _line(item)) for item in items)


def _laid(to: Path, lines: Sequence[Line], before: Mapping[str, Any], per_part: int) -> dict[str, TargetFile]:
    """Write the parts of a bundle, divided much as it was before."""
    starts = [piece.part.start for piece in pieces_of(before)] if before else [""]
    held = divided(lines, starts, per_part)
    return {target_name(start): _target(to, start, part, len(held) > 1) for start, part in held}


def _line(item: Item) -> str:
    return item.model_dump_json(exclude_none=True, exclude_defaults=True)


def _target(to: Path, start: str, lines: Sequence[Line], divided: bool) -> TargetFile:
    """Write a part, unless it is there, and return what the metadata says of it."""
    from tuf.api.metadata import TargetFile

    data = "".join(f"{line}\n" for _, line in lines).encode()
    name = target_name(start)
    target = TargetFile.from_data(name, data, ["sha256"])
    target.unrecognized_fields["custom"] = {"format": DIVIDED, "from": start} if divided else {"format": FORMAT}
    path = to / "targets" / f"{target.hashes['sha256']}.{name}"
    if not path.exists() or path.stat().st_size != len(data):
        signing.write(path, data)
    return target


def _as_before(name: str, before: Mapping[str, Any]) -> TargetFile:
    from tuf.api.metadata import TargetFile

    return TargetFile.from_dict(dict(before[name]), name)


def _held(to: Path, piece: Piece) -> list[Line]:
    """Read a part that was published."""
    data = (to / "targets" / f"{piece.digest}.{piece.target}").read_bytes()
    if hashlib.sha256(data).hexdigest() != piece.digest:
        raise ConfigError(f"the bundle in `{to}` is not whole", hint="publish all of it again")
    return [(str(json.loads(line)["reference"]), line) for line in data.decode().splitlines()]


def _said(targets: Mapping[str, TargetFile]) -> dict[str, Any]:
    return {name: target.to_dict() for name, target in targets.items()}


def _stamp(to: Path) -> int:
    return int(signing.read_file(to / "metadata" / "timestamp.json").signed.version)


def _served(to: Path) -> dict[str, Any]:
    """Return the targets of the bundle that readers get now; none if there is none, or it is not whole."""
    metadata = to / "metadata"
    try:
        stamp = signing.read_file(metadata / "timestamp.json").signed
        snapshot = signing.read_file(metadata / f"{stamp.snapshot_meta.version}.snapshot.json").signed
        version = snapshot.meta["targets.json"].version
        found = _said(signing.read_file(metadata / f"{version}.targets.json").signed.targets)
        pieces_of(found)
    except Exception:  # whatever it is: what is published next takes its place
        return {}
    return found


def _release(
    to: Path, keys: Path, now: datetime, targets: dict[str, TargetFile], before: Mapping[str, Any], items: int
) -> Published:
    """Sign what was written, and let readers find it."""
    from tuf.api.metadata import Targets

    roles = ROLES if not signing.newest(to, "root") else ROLES[1:]  # the key of the root may be elsewhere by then
    signers = signing.signers(keys, new=not (to / "metadata" / "timestamp.json").exists(), roles=roles)
    signing.ensure_root(to, signers, now)
    version = signing.newest(to, "targets") + 1
    signed = Targets(version, expires=now + LASTS["targets"], targets=targets)
    signing.sign(to, signed, signers["targets"], f"{version}.targets.json")
    timestamp = signing.renew(to, signers, now, version)
    files, former = _files(_said(targets)), _files(before)
    signing.tidy(to / "targets", files, former, now)
    return Published(items, len(targets), len(files - former), version, timestamp)


def _files(targets: Mapping[str, Any]) -> set[str]:
    return {f"{target['hashes']['sha256']}.{name}" for name, target in targets.items()}
