"""Signed bundles: JSON Lines under the metadata of The Update Framework (TUF 1.0), over HTTP or from a directory.

TUF gives what is easy to get wrong: Ed25519 signatures with a threshold for each role, keys that rotate by a chain of
roots, digests and lengths of every file, versions that never go back (rollback) and metadata that runs out (freeze).
What was trusted last is kept in the checkpoint, and so changes in the same transaction as the indicators.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from paycordon.coalition.indicators import Changes, Indicator
from paycordon.errors import ConfigError, FeedRefused
from paycordon.feeds.contract import Budget, Feed, FeedSettings, Surroundings
from paycordon.feeds.items import indicators_of, item_of
from paycordon.feeds.reading import Absent, as_mapping, check_address, file_of, is_address, json_of, read

TARGET = "indicators.jsonl"
FORMAT = "paycordon-indicators-1"
_ROLES = ("root", "timestamp", "snapshot", "targets")


class BundleSettings(FeedSettings):
    """Where a bundle is, and whom it is believed from.

    Attributes:
        root: the publisher's `root.json`, received by another way than the bundle; it is needed once, and followed
            from there when the publisher changes its keys.
    """

    root: Path


class BundleFeed(Feed[BundleSettings]):
    """Reads a signed bundle, whole; what it does not say any more is withdrawn. `source` is its directory."""

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
        """Yield the bundle as one batch if it is a newer one."""
        before = json.loads(checkpoint) if checkpoint is not None else {}
        trusted: Mapping[str, str] = before.get("trusted", {})
        with tempfile.TemporaryDirectory(prefix="paycordon-") as place:
            digest, data = self._download(Path(place), trusted, before.get("bundle"), budget)
            now = {role: (Path(place) / f"{role}.json").read_text("utf-8") for role in _ROLES}
        after = json.dumps({"bundle": digest, "trusted": now}, sort_keys=True)
        if data is not None:
            said = self._said(data, budget)
            yield Changes(self.surroundings.source, said, complete=True, checkpoint=after)
        elif now != trusted:
            yield Changes(self.surroundings.source, checkpoint=after)

    def _download(
        self, place: Path, trusted: Mapping[str, str], last: str | None, budget: Budget
    ) -> tuple[str, bytes | None]:
        """Return the digest of the bundle, and the bundle itself unless it is the last one."""
        from tuf.api.exceptions import DownloadError, RepositoryError
        from tuf.ngclient import Updater

        for role in _ROLES[1:]:
            if role in trusted:
                (place / f"{role}.json").write_text(trusted[role], "utf-8")
        configured = (self.surroundings.base / self.settings.root).read_bytes()
        source = self.settings.source.rstrip("/")
        try:
            updater = Updater(
                str(place),
                f"{source}/metadata/",
                str(place),
                f"{source}/targets/",
                _fetcher(self.surroundings.base, budget),
                bootstrap=trusted["root"].encode() if "root" in trusted else configured,
            )
            updater.refresh()
            target = updater.get_targetinfo(TARGET)
            if target is None or target.custom != {"format": FORMAT}:
                raise FeedRefused(f"holds no `{TARGET}` of the format `{FORMAT}`")
            if target.length > budget.bytes_left:
                raise FeedRefused(f"is larger than {self.settings.most_bytes} bytes (`most_bytes`)")
            digest = ":".join(sorted(target.hashes.values()))
            if digest == last:
                return digest, None
            return digest, Path(updater.download_target(target)).read_bytes()
        except (RepositoryError, DownloadError, ValueError) as error:
            raise FeedRefused(f"is not to be trusted: {type(error).__name__}: {_sentence(error)}") from None

    def _said(self, data: bytes, budget: Budget) -> list[Indicator]:
        said: list[Indicator] = []
        for number, line in enumerate(data.splitlines(), start=1):
            _ = budget.seconds_left
            where = f"line {number}"
            item = item_of(as_mapping(json_of(line, where), where), where)
            said += indicators_of(item, self.surroundings, where)
        return said


def _sentence(error: Exception) -> str:
    """Return what TUF says: names of roles and versions; on one line, and not long."""
    return " ".join(str(error).split())[:200]


def _fetcher(base: Path, budget: Budget) -> Any:
    """Return what reads for TUF, within the budget."""
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient import FetcherInterface

    class Fetcher(FetcherInterface):
        """Reads files and addresses alike."""

        def _fetch(self, url: str) -> Iterator[bytes]:
            try:
                yield read(url, base, budget)
            except Absent as absent:
                raise DownloadHTTPError(str(absent), 404) from None

    return Fetcher()
