"""A hub's directory: settings, keys, lists and ledger; made, rotated and built without an interruption of service.

Each key is an epoch. A new epoch is made first, so that members can pin its public key; it is served as soon as the
list was built under it, beside the one before, which ends some time later and whose key is then erased.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from paycordon.documents import read_document, validate
from paycordon.errors import ConfigError, Conflict, NotFound, Position
from paycordon.hub import group
from paycordon.hub.evaluation import Progress, evaluate_file
from paycordon.hub.ledger import Ledger, Row
from paycordon.recognition import digest_of_token
from paycordon.secretrefs import Secrets
from paycordon.sections import Section, SpanField
from paycordon.spans import Span
from paycordon.store.schema import micros

Clock = Callable[[], datetime]
SETTINGS, LEDGER, KEYS, LISTS = "hub.yaml", "ledger.db", "keys", "lists"
_PADDING = b"paycordon-hub-padding-1"
_DEFAULTS = """\
# The settings of a hub. `paycordon hub status` shows what they come to.

# k: whoever asks for a bucket could mean any of at least so many entries of the list.
minimum: 1000

# How many identifiers a member may ask about in a day, and at once; `paycordon hub add-member` may say otherwise.
per_day: 20000
burst: 1000

# How long a key goes on being served beside the one that follows it.
overlap: 14d
"""


class HubSettings(Section):
    """What `hub.yaml` says.

    Attributes:
        minimum: the k of k-anonymity that buckets are made for.
        per_day: how many identifiers a member may ask about in a day.
        burst: how many of them at once.
        overlap: how long an epoch is served beside the next one.
    """

    minimum: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    per_day: Annotated[int, Field(ge=1, le=86_400_000)] = 20_000
    burst: Annotated[int, Field(ge=64, le=1_000_000)] = 1_000
    overlap: SpanField = Span(timedelta(days=14))

    @field_validator("overlap")
    @classmethod
    def _is_time(cls, value: Span) -> Span:
        if value.business_days:
            raise ValueError("`overlap` is a time such as `14d`")
        return value


class Home:
    """An opened hub directory.

    Raises:
        ConfigError: there is no hub, or its settings are wrong.
        StoreUnavailable: its ledger cannot be opened.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str] = os.environ) -> None:
        if not (directory / SETTINGS).is_file():
            hint = "make one with `paycordon hub init`, or name one with `--directory`"
            raise ConfigError(f"there is no hub in `{directory}`", hint=hint)
        self.settings = validate(HubSettings, read_document(directory / SETTINGS))
        self.lists = directory / LISTS
        self._directory = directory
        self._secrets = Secrets(environ, directory)
        self.ledger = Ledger(directory / LEDGER)

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def epochs(self, now: datetime) -> Sequence[Row]:
        """Return the epochs that have not ended, the oldest first; one without `built_at` is not served yet."""
        sql = "SELECT * FROM epochs WHERE ended_at IS NULL AND (ends_at IS NULL OR ends_at > ?) ORDER BY number"
        return self.ledger.rows(sql, (micros(now),))

    def key_of(self, epoch: Row) -> bytes:
        """Return an epoch's private key.

        Raises:
            ConfigError: it is missing, or not the key that members were told of.
        """
        position = Position(self._directory / LEDGER)
        try:
            key = group.scalar_from(bytes.fromhex(self._secrets.resolve(epoch["key"], position)))
            public = group.multiply_generator(key).hex()
        except ValueError:
            public = ""
        if public != epoch["public_key"]:
            raise ConfigError(f"the key of epoch {epoch['number']} is not the one that was published")
        return key

    def rotate(self, now: datetime) -> Row:
        """Make the key of the next epoch, to be pinned by members before the list is built under it.

        Raises:
            Conflict: the newest epoch has no list yet.
        """
        self.retire(now)
        with self.ledger.write():
            (last,) = self.ledger.rows("SELECT * FROM epochs ORDER BY number DESC LIMIT 1") or ({"number": 0},)
            if last["number"] and last["built_at"] is None:
                raise Conflict(f"epoch {last['number']} waits for its list: run `paycordon hub build` first")
            return _new_epoch(self._directory, self.ledger, self.settings, last["number"] + 1, now)

    def retire(self, now: datetime) -> Sequence[int]:
        """Erase the keys and lists of epochs whose time is over; returns their numbers.

        Raises:
            ConfigError: a key cannot be erased.
        """
        sql = "SELECT * FROM epochs WHERE ended_at IS NULL AND ends_at <= ?"
        over = self.ledger.rows(sql, (micros(now),))
        for epoch in over:
            # The key first: should the process die here, the epoch is found again and the rest is done then.
            self._erase(self._directory / str(epoch["key"]).removeprefix("file:"))
            with self.ledger.write():
                done = "UPDATE epochs SET ended_at = ? WHERE number = ? AND ended_at IS NULL"
                if self.ledger.run(done, (micros(now), epoch["number"])):  # else another process was faster
                    self.ledger.note(now, "ended", epoch=epoch["number"])
                    self.ledger.changed()
        if over:
            self._sweep()
        return [int(epoch["number"]) for epoch in over]

    def build(
        self, source: Path, clock: Clock, progress: Progress, *, kind: str | None = None, shrink: bool = False
    ) -> Sequence[Row]:
        """Build the list anew under every key that has not ended, and swap all of them at once; returns the epochs.

        Args:
            source: the file of identifiers; what is not in it is not known any more.
            clock: says what time it is, UTC; a long build ends later than it began.
            progress: told how many bytes of the file are done.
            kind: what the values are, if the file holds nothing but values.
            shrink: whether the list may lose more than half of its entries.

        Raises:
            ConfigError: the file cannot be used as a whole; nothing has changed.
            Conflict: another build is running.
        """
        with self._building():
            self.retire(clock())
            epochs = self.epochs(clock())
            keys = [self.key_of(each) for each in epochs]
            collectors = evaluate_file(source, keys, kind, progress)
            built = [
                each.write(self.lists, self.settings.minimum, hmac.digest(key, _PADDING, "sha256"))
                for each, key in zip(collectors, keys, strict=True)
            ]
            before = max((each["entries"] or 0 for each in epochs), default=0)
            if built[0].entries * 2 < before and not shrink:
                self._sweep()
                message = f"the list would shrink from {before} entries to {built[0].entries}"
                raise ConfigError(message, hint="if that is right, say so by `--shrink`; nothing was changed")
            now = clock()
            with self.ledger.write():
                for epoch, made in zip(epochs, built, strict=True):
                    self.ledger.run(
                        "UPDATE epochs SET built_at = ?, list = ?, entries = ?, bits = ?, capacity = ?, smallest = ?"
                        " WHERE number = ?",
                        (
                            micros(now),
                            made.name,
                            made.entries,
                            made.bits,
                            made.capacity,
                            made.smallest,
                            epoch["number"],
                        ),
                    )
                    self.ledger.note(now, "built", epoch=epoch["number"], entries=made.entries, list=made.name)
                self._succeed(epochs, now)
                self.ledger.changed()
            self.retire(now)
            self._sweep()
        return self.epochs(now)

    def _succeed(self, epochs: Sequence[Row], now: datetime) -> None:
        """Let the epochs before the newest end after its overlap, once it is served itself."""
        newest = epochs[-1]
        if newest["built_at"] is None:
            ends = micros(now) + int(newest["overlap_s"]) * 1_000_000
            sql = "UPDATE epochs SET ends_at = ? WHERE number < ? AND ended_at IS NULL AND ends_at IS NULL"
            self.ledger.run(sql, (ends, newest["number"]))

    def add_member(self, name: str, now: datetime, per_day: int | None, burst: int | None) -> str:
        """Add a member, or give one who is there a new token and limits; returns the token, which is not kept.

        The count of what was asked goes on, so that a new token is no new allowance.
        """
        token = f"pch_{secrets.token_urlsafe(32)}"
        limits = (per_day or self.settings.per_day, burst or self.settings.burst)
        with self.ledger.write():
            self.ledger.run(
                "INSERT INTO members (name, token_sha256, per_day, burst, added_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET token_sha256 = excluded.token_sha256, removed_at = NULL,"
                " per_day = excluded.per_day, burst = excluded.burst, added_at = excluded.added_at",
                (name, digest_of_token(token), *limits, micros(now)),
            )
            self.ledger.note(now, "member added", member=name)
            self.ledger.changed()
        return token

    def remove_member(self, name: str, now: datetime) -> None:
        """Let a member's token count no more, from its next request on.

        Raises:
            NotFound: there is no such member.
        """
        with self.ledger.write():
            sql = "UPDATE members SET removed_at = ? WHERE name = ? AND removed_at IS NULL"
            if not self.ledger.run(sql, (micros(now), name)):
                raise NotFound(f"there is no member `{name}`")
            self.ledger.note(now, "member removed", member=name)
            self.ledger.changed()

    def members(self) -> Sequence[Row]:
        """Return the members that were not removed, by name."""
        return self.ledger.rows("SELECT * FROM members WHERE removed_at IS NULL ORDER BY name")

    def intact(self, epoch: Row) -> bool:
        """Tell whether a list on disk is what was written."""
        try:
            with (self.lists / f"{epoch['list']}.buckets").open("rb") as file:
                return str(epoch["list"]) == hashlib.file_digest(file, "sha256").hexdigest()[:32]
        except OSError:
            return False

    def _erase(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise ConfigError(f"the key `{path.name}` is over but cannot be erased: {reason}") from None

    @contextmanager
    def _building(self) -> Iterator[None]:
        with (self.lists / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Conflict("another build of this hub is running") from None
            yield

    def _sweep(self) -> None:
        """Remove files of lists that no epoch names: replaced ones, and what a build that died has left."""
        named = {f"{row['list']}.buckets" for row in self.ledger.rows("SELECT list FROM epochs WHERE ended_at IS NULL")}
        for path in self.lists.iterdir():
            if path.name not in named and path.suffix in (".buckets", ".tmp"):
                path.unlink(missing_ok=True)


def create(directory: Path, now: datetime) -> Row:
    """Make a hub with its first key; returns the epoch.

    Raises:
        ConfigError: there is something in the directory already, or it cannot be written.
    """
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"`{directory}` is not empty", hint="choose another; nothing was changed")
    try:
        for path in (directory, directory / KEYS, directory / LISTS):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / ".gitignore").write_text("*\n", encoding="utf-8")
        ledger = Ledger(directory / LEDGER, create=True)
        try:
            with ledger.write():
                epoch = _new_epoch(directory, ledger, HubSettings(), 1, now)
        finally:
            ledger.close()
        # Last, so that there is no hub before it is whole.
        (directory / SETTINGS).write_text(_DEFAULTS, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"`{directory}` cannot be written: {(error.strerror or '').lower()}") from None
    return epoch


def _new_epoch(directory: Path, ledger: Ledger, settings: HubSettings, number: int, now: datetime) -> Row:
    key = group.random_scalar()
    name = f"{KEYS}/epoch-{number}.key"
    # One left by a rotation that died before its commit was never published, and is replaced.
    (directory / name).unlink(missing_ok=True)
    descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex())
        file.flush()
        os.fsync(descriptor)
    public = group.multiply_generator(key).hex()
    overlap = int(settings.overlap.length.total_seconds())
    ledger.run(
        "INSERT INTO epochs (number, public_key, key, overlap_s, made_at) VALUES (?, ?, ?, ?, ?)",
        (number, public, f"file:{name}", overlap, micros(now)),
    )
    ledger.note(now, "key made", epoch=number, public_key=public)
    return {"number": number, "public_key": public}
