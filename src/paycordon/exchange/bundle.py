"""Tell everybody who reads this deployment's bundle: what is contributed is published, signed, for `feeds.bundle`.

What was published is kept beside the publisher's keys, by contribution and revision, and a bundle is always made of all
of it. So a message that comes again finds itself there, and a process that died between the two steps publishes what
was missing.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from paycordon.errors import ConfigError, Refused, RetryLater
from paycordon.exchange.contract import (
    Contribution,
    ContributionKind,
    Here,
    Outgoing,
    Receipt,
    Recipient,
    RecipientSettings,
    Verb,
)
from paycordon.exchange.keying import KeyedSettings, digester_of, leaving
from paycordon.exchange.reasons import REASONS
from paycordon.feeds import publishing
from paycordon.feeds.items import Item

CONTESTED = "contested"
"""The status of what a merchant objects to, as long as the objection is undecided."""

_LEDGER = "contributions.json"
_RENEWED_AT = timedelta(hours=12)  # readers refuse what nobody renewed for a day


class BundleRecipientSettings(KeyedSettings):
    """Where the bundle is.

    Attributes:
        to: its directory, for any web server; a relative path starts from the configuration file.
        publisher: the directory of the publisher's keys, made if there is none; keep it from others.
    """

    to: Path
    publisher: Path


class BundleRecipient(Recipient[BundleRecipientSettings]):
    """Publishes what is contributed as this deployment's own signed bundle."""

    format: ClassVar[str] = "bundle"
    about: ClassVar[str] = "publishes what is contributed as a signed bundle, which others read as a feed"
    settings_type: ClassVar[type[RecipientSettings]] = BundleRecipientSettings
    verbs: ClassVar[frozenset[Verb]] = frozenset({Verb.ADD, Verb.CORRECT, Verb.RETRACT})
    kinds: ClassVar[frozenset[ContributionKind]] = frozenset(ContributionKind)

    def __init__(self, settings: BundleRecipientSettings, here: Here) -> None:
        super().__init__(settings, here)
        self._to, self._publisher = here.base / settings.to, here.base / settings.publisher
        self._digester = digester_of(settings, here)
        try:
            import tuf.api.metadata  # noqa: F401
        except ImportError:
            raise ConfigError("bundles need the extra `feeds`", hint="pip install 'paycordon[feeds]'") from None
        if self._publisher.resolve().is_relative_to(self._to.resolve()):
            raise ConfigError("`publisher` lies within `to`, where everybody reads", hint="name another directory")

    def check(self, content: Contribution) -> None:
        """Refuse what has no identifiers, or values that never leave as they are."""
        if not content.items and not content.appeal:
            raise Refused("a bundle tells identifiers, and `items` is empty")
        self._lines("ctr_draft", content)

    def send(self, message: Outgoing) -> Receipt:
        """Publish a revision, or take all of it off the bundle."""
        if message.verb not in self.verbs:
            raise Refused(f"a bundle cannot be told `{message.verb}`")
        try:
            with self._ledger() as said:
                already = _take(said, message, self._lines)
                self._keep(said)
                self._publish_one(said, message.id)
        except (OSError, ConfigError) as error:
            raise RetryLater(f"the bundle cannot be published: {type(error).__name__}") from None
        return Receipt(message.id, already)

    def tend(self) -> None:
        """Renew the signature that runs out after a day; publish an empty bundle first, so that readers can begin."""
        stamp = self._to / "metadata" / "timestamp.json"
        with self._ledger() as said:
            if not stamp.exists():
                self._publish(said)
            elif _expires(stamp) - self.here.clock() < _RENEWED_AT:
                self._publish(said)
                publishing.renew(self._to, self._publisher, self.here.clock())

    def _lines(self, id_: str, content: Contribution) -> list[dict[str, Any]]:
        reference = f"{id_} of {content.origin}" if content.origin else id_
        if len(reference) > 255:
            raise Refused("the name of the source is too long for a bundle")
        items = leaving(content.items, self.settings, self._digester)
        found = {}
        for item in items:
            category = item.category or (content.reason or "")
            line = item.model_copy(update={"reference": reference, "category": category})
            found[line.kind, line.digest or line.value] = line.model_dump(
                mode="json", exclude_none=True, exclude_defaults=True
            )
        return list(found.values())

    @contextmanager
    def _ledger(self) -> Iterator[dict[str, Any]]:
        """Read what was published, while nobody else changes it."""
        self._publisher.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._publisher / f".{_LEDGER}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            path = self._publisher / _LEDGER
            yield json.loads(path.read_text("utf-8")) if path.exists() else {}
        except ValueError:
            raise ConfigError(f"`{_LEDGER}` beside the publisher's keys cannot be read") from None
        finally:
            os.close(descriptor)

    def _keep(self, said: Mapping[str, Any]) -> None:
        fresh = self._publisher / f".{_LEDGER}.{os.getpid()}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(said, file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._publisher / _LEDGER)

    def _publish(self, said: Mapping[str, Any]) -> None:
        """Publish all that counts now, unless the newest bundle already is just that."""
        now = self.here.clock()
        publishing.publish_if_new(_items(said, sorted(said), now), self._to, self._publisher, now)

    def _publish_one(self, said: Mapping[str, Any], id_: str) -> None:
        """Publish what counts of one contribution: its part of the bundle, or all where readers get no whole one."""
        now = self.here.clock()
        items = _items(said, [id_], now)
        gone = set(said[id_].get("references", ())) - {item.reference for item in items}
        if not (self._to / "metadata" / "timestamp.json").exists():
            return self._publish(said)
        try:
            publishing.publish_changes(items, gone, self._to, self._publisher, now)
        except ConfigError:
            self._publish(said)


def _items(said: Mapping[str, Any], ids: Iterable[str], now: datetime) -> list[Item]:
    """Return what counts now of some contributions."""
    found = [
        Item.model_validate({**line, "status": CONTESTED} if said[id_].get("contested") else line)
        for id_ in ids
        for line in said[id_]["lines"]
    ]
    return [item for item in found if item.valid_until is None or item.valid_until > now]


def _take(said: dict[str, Any], message: Outgoing, lines: Any) -> bool:
    """Write a message into what was said, and under which references it ever was; returns whether it was there."""
    known = said.get(message.id) or {}
    former = {line["reference"] for line in known.get("lines", ())}.union(known.get("references", ()))
    was_there = _taken(said, message, lines)
    taken = said[message.id]
    taken["references"] = sorted(former.union(line["reference"] for line in taken["lines"]))
    return was_there


def _taken(said: dict[str, Any], message: Outgoing, lines: Any) -> bool:
    known = said.get(message.id)
    if message.verb is Verb.RETRACT:
        said[message.id] = {"revision": max(message.revision, known["revision"] if known else 0), "lines": []}
        said[message.id]["retracted"] = True
        return known is None or bool(known.get("retracted"))
    if known is not None and (known.get("retracted") or known["revision"] >= message.revision):
        return True
    content = message.content
    if content is None:
        raise Refused("there is nothing to publish")
    made = lines(message.id, content)
    if message.verb is Verb.CORRECT and not content.items:
        made = [dict(line) for line in (known["lines"] if known else [])]
        for line in made:
            if content.reason and line.get("category") in REASONS:
                line["category"] = content.reason
    said[message.id] = {"revision": message.revision, "lines": made, "contested": bool(content.appeal)}
    return False


def _expires(stamp: Path) -> datetime:
    from tuf.api.metadata import Metadata

    signed: Any = Metadata.from_file(str(stamp)).signed
    found: datetime = signed.expires
    return found
