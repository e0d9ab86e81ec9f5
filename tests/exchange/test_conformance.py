"""The built-in formats of recipients keep to the contract."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from standardwebhooks.webhooks import Webhook

from paycordon.exchange.bundle import BundleRecipient
from paycordon.exchange.contract import Contribution
from paycordon.exchange.post import PostRecipient
from paycordon.testing import Answer, HttpSimulator, RecipientConformance, RecipientHarness, Request

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


class Receiver(HttpSimulator):
    """Another member: verifies, stores by key, and answers."""

    stall = 0.6

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, dict[str, Any]] = {}
        self.secret = SECRET

    def answer(self, request: Request) -> Answer:
        Webhook(self.secret).verify(request.body, dict(request.headers))
        self.messages.setdefault(request.headers["webhook-id"], json.loads(request.body))
        return Answer(204, None)

    def standing(self) -> dict[str, int]:
        """By id, 1 for what stands and 0 for what was taken back; the newest revision counts."""
        newest: dict[str, tuple[int, int]] = {}
        for message in self.messages.values():
            if message["type"].startswith("contribution."):
                said = message["data"]
                state = (said["revision"], int(message["type"] != "contribution.retract"))
                newest[said["id"]] = max(newest.get(said["id"], (0, 0)), state)
        return {id_: standing for id_, (_, standing) in newest.items()}


class PostHarness(RecipientHarness):
    kind = PostRecipient
    secrets = (SECRET,)

    def __init__(self) -> None:
        self.simulator = self.receiver = Receiver()
        self.receiver.__enter__()

    def settings(self, place: Path) -> Mapping[str, Any]:
        return {"url": f"{self.receiver.url}/paycordon", "secrets": [SECRET], "within": 0.2}

    def there(self) -> Mapping[str, int]:
        return self.receiver.standing()

    def judged(self) -> Sequence[str]:
        return [m["data"]["worth"] for m in self.receiver.messages.values() if m["type"] == "feedback"]

    def close(self) -> None:
        self.receiver.__exit__(None, None, None)


def test_the_page_shows_a_message_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "plugins" / "README.md").read_text("utf-8")
    shown = json.loads(page.split("### Messages of the format `post`")[1].split("```json")[1].split("```")[0])
    content = Contribution.model_validate(shown["data"]["content"])
    assert content.model_dump(mode="json", exclude_none=True, exclude_defaults=True) == shown["data"]["content"]
    assert shown["type"] == "contribution.add"


class TestPost(RecipientConformance):
    def harness(self) -> RecipientHarness:
        return PostHarness()


class BundleHarness(RecipientHarness):
    kind = BundleRecipient

    def settings(self, place: Path) -> Mapping[str, Any]:
        self.place = place
        return {"to": "bundle", "publisher": "publisher"}

    def there(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for item in published(self.place / "bundle"):
            id_ = item["reference"].partition(" of ")[0]
            found[id_] = found.get(id_, 0) + 1
        return found


def published(bundle: Path) -> list[dict[str, Any]]:
    """What whoever reads the bundle now finds in it."""
    metadata = bundle / "metadata"
    if not (metadata / "timestamp.json").exists():
        return []
    stamp = json.loads((metadata / "timestamp.json").read_text())["signed"]
    snapshot = stamp["meta"]["snapshot.json"]["version"]
    newest = json.loads((metadata / f"{snapshot}.snapshot.json").read_text())["signed"]["meta"]["targets.json"]
    targets = json.loads((metadata / f"{newest['version']}.targets.json").read_text())["signed"]["targets"]
    digest = targets["indicators.jsonl"]["hashes"]["sha256"]
    lines = (bundle / "targets" / f"{digest}.indicators.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


class TestBundle(RecipientConformance):
    def harness(self) -> RecipientHarness:
        return BundleHarness()
