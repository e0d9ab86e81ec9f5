"""Signed bundles: JSON Lines under the metadata of The Update Framework (TUF 1.0), over HTTP or from a directory.

TUF gives what is easy to get wrong: Ed25519 signatures with a threshold for each role, keys that rotate by a chain of
roots, digests and lengths of every file, versions that never go back (rollback) and metadata that runs out (freeze).
What was trusted last is kept in the checkpoint, and so changes in the same transaction as the indicators.

A large bundle is divided into parts (`feeds.parts`), of which a look fetches, checks and takes in only those that have
changed, all of them as one batch.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from paycordon.coalition.indicators import Changes, Indicator, Part
from paycordon.errors import ConfigError, FeedRefused
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import indicators_of, item_of
from paycordon.feeds.parts import Piece, joined, pieces_of
from paycordon.feeds.reading import Absent, as_mapping, check_address, connections, file_of, is_address, json_of, read

if TYPE_CHECKING:
    from tuf.ngclient import Updater
    from urllib3 import PoolManager

_ROLES = ("root", "timestamp", "snapshot", "targets")
_KEY = "key"  # in the checkpoint: the key that plain values were kept under
_MOST_METADATA = 32 * 2**20  # bytes that name a hundred thousand parts


class BundleSettings(FeedSettings):
    """Where a bundle is, and whom it is believed from.

    Attributes:
        root: the publisher's `root.json`, received by another way than the bundle; it is needed once, and followed
            from there when the publisher changes its keys.
    """

    root: Path


class BundleFeed(Feed[BundleSettings]):
    """Reads what changed of a signed bundle; what it does not say any more is withdrawn. `source` is its directory."""

    format: ClassVar[str] = "bundle"
    about: ClassVar[str] = "signed bundle (JSON Lines under TUF metadata), over HTTP or from a directory"
    settings_type: ClassVar[type[FeedSettings]] = BundleSettings

    def __init__(self, settings: BundleSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        try:
            import tuf.ngclient  # noqa: F401
        except ImportError:
            raise ConfigError("bundles need the extra `feeds`", hint="pip install 'paycordon[feeds]'") from None
        if is_address(settings.source):
            check_address(settings.source)
        if not (surroundings.base / settings.root).is_file():
            raise ConfigError("there is no file that `root` names", hint="ask the publisher for its `root.json`")

    def watched(self) -> Path | None:
        """Return the file that a publisher writes last, if the bundle is a directory."""
        place = file_of(self.settings.source, self.surroundings.base)
        return None if place is None else place / "metadata" / "timestamp.json"

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        """Yield what has changed of the bundle, as one batch, if it is a newer one: each part that differs, whole."""
        from tuf.api.exceptions import DownloadError, RepositoryError

        before = json.loads(checkpoint) if checkpoint is not None else {}
        trusted: Mapping[str, str] = before.get("trusted", {})
        with tempfile.TemporaryDirectory(prefix="paycordon-") as place, connections() as pool:
            try:
                updater = self._updater(Path(place), trusted, _fetcher(self.surroundings.base, budget, pool))
                updater.refresh()
                now = {role: (Path(place) / f"{role}.json").read_text("utf-8") for role in _ROLES}
                pieces = _pieces(now)
                taken = self._taken(before)
                changed = [each for each in enumerate(pieces, start=1) if each[1].identity not in taken]
                if sum(piece.length for _, piece in changed) > budget.bytes_left:
                    raise FeedRefused(f"is larger than {self.settings.most_bytes} bytes (`most_bytes`)")
                said: list[Indicator] = []
                plain = _KEY in before
                for number, piece in changed:
                    where = f"part {number}, line" if len(pieces) > 1 else "line"
                    plain |= self._read(_data(updater, piece), piece, where, said, budget)
            except (RepositoryError, DownloadError, ValueError) as error:
                raise FeedRefused(f"is not to be trusted: {type(error).__name__}: {_sentence(error)}") from None
        after = {"trusted": now} | ({_KEY: self.surroundings.digester.current} if plain else {})
        kept = json.dumps(after, sort_keys=True)
        if changed:
            parts = joined(piece.part for _, piece in changed)
            yield Changes(self.surroundings.source, said, complete=True, parts=parts, checkpoint=kept)
        elif now != trusted:
            yield Changes(self.surroundings.source, checkpoint=kept)

    def _taken(self, before: Mapping[str, Any]) -> set[tuple[Part, str]]:
        """Return what was taken in: the metadata that was trusted last says so, as both were written as one."""
        if "trusted" not in before or before.get(_KEY, "") not in ("", self.surroundings.digester.current):
            return set()  # plain values are keyed here: under another key all of them are others
        return {piece.identity for piece in _pieces(before["trusted"])}

    def _updater(self, place: Path, trusted: Mapping[str, str], fetcher: Any) -> Updater:
        """Return TUF's client, with what was trusted last."""
        from tuf.ngclient import Updater, UpdaterConfig

        for role in _ROLES[1:]:
            if role in trusted:
                (place / f"{role}.json").write_text(trusted[role], "utf-8")
        configured = (self.surroundings.base / self.settings.root).read_bytes()
        source = self.settings.source.rstrip("/")
        return Updater(
            str(place),
            f"{source}/metadata/",
            str(place),
            f"{source}/targets/",
            fetcher,
            UpdaterConfig(targets_max_length=_MOST_METADATA),
            bootstrap=trusted["root"].encode() if "root" in trusted else configured,
        )

    def _read(self, data: bytes, piece: Piece, where: str, said: list[Indicator], budget: Budget) -> bool:
        """Add what a part says to what is said; tells whether any of its values were plain."""
        plain = False
        for number, line in enumerate(data.splitlines(), start=1):
            _ = budget.seconds_left
            place = f"{where} {number}"
            item = item_of(as_mapping(json_of(line, place), place), place)
            if item.reference not in piece.part:
                raise FeedRefused(f"{place}: `reference` is of another part")
            plain |= item.value is not None
            said += indicators_of(item, self.surroundings, place)
        return plain


def _pieces(trusted: Mapping[str, str]) -> list[Piece]:
    return pieces_of(json.loads(trusted["targets"])["signed"]["targets"])


def _data(updater: Updater, piece: Piece) -> bytes:
    target = updater.get_targetinfo(piece.target)
    if target is None:
        raise FeedRefused("its metadata does not say what it said")
    path = Path(updater.download_target(target))
    data = path.read_bytes()
    path.unlink()
    return data


def _sentence(error: Exception) -> str:
    """Return what TUF says: names of roles and versions; on one line, and not long."""
    return " ".join(str(error).split())[:200]


def _fetcher(base: Path, budget: Budget, pool: PoolManager) -> Any:
    """Return what reads for TUF, within the budget."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient import FetcherInterface

    class Fetcher(FetcherInterface):
        """Reads files and addresses alike."""

        def _fetch(self, url: str) -> Iterator[bytes]:
            try:
                yield read(url, base, budget, pool=pool)
            except Absent as absent:
                raise DownloadHTTPError(str(absent), 404) from None

    return Fetcher()
