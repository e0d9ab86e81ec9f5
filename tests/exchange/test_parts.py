"""Of a bundle of many contributions a message changes the part that holds its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.identifiers import Digester
from paycordon.exchange.bundle import BundleRecipient
from paycordon.exchange.contract import Contribution, ContributionKind, Here, Outgoing, Verb
from paycordon.feeds.items import Item

COUNT = 6_000


@pytest.fixture
def recipient(tmp_path: Path) -> BundleRecipient:
    """One that has published six thousand contributions, as it wrote them down before there were parts."""
    (tmp_path / "keys").mkdir()
    said = {
        f"ctr_{number:05d}": {
            "revision": 1,
            "contested": False,
            "lines": [{"kind": "email", "digest": f"k1:{number:064x}", "reference": f"ctr_{number:05d}"}],
        }
        for number in range(COUNT)
    }
    (tmp_path / "keys" / "contributions.json").write_text(json.dumps(said))
    settings = BundleRecipient.settings_type.model_validate({"format": "bundle", "to": "public", "publisher": "keys"})
    here = Here("coalition", Digester({"k1": bytes(range(32))}, "k1"), tmp_path, lambda: datetime.now(UTC))
    made = BundleRecipient(settings, here)  # type: ignore[arg-type]
    made.tend()
    return made


def standing(place: Path) -> dict[str, Path]:
    """By reference, which file says it to whoever reads the bundle now."""
    newest = max((place / "public/metadata").glob("*.targets.json"), key=lambda path: int(path.name.partition(".")[0]))
    targets: dict[str, Any] = json.loads(newest.read_text())["signed"]["targets"]
    files = [place / "public/targets" / f"{each['hashes']['sha256']}.{name}" for name, each in targets.items()]
    return {json.loads(line)["reference"]: file for file in files for line in file.read_text().splitlines()}


def test_a_message_changes_the_part_of_its_contribution(
    recipient: BundleRecipient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = standing(tmp_path)
    assert len(before) == COUNT
    assert len(set(before.values())) == 3

    retraction = Outgoing("key-1", Verb.RETRACT, "ctr_04321", 2)
    with monkeypatch.context() as patched:  # the process dies after it has noted what it is about to publish
        patched.setattr(BundleRecipient, "_publish_one", _killed)
        with pytest.raises(KeyboardInterrupt):
            recipient.send(retraction)
    assert "ctr_04321" in standing(tmp_path)
    for _ in range(2):
        recipient.send(retraction)
        after = standing(tmp_path)
        assert before.keys() - after.keys() == {"ctr_04321"}
        assert len(set(after.values()) - set(before.values())) == 1
    assert len(list((tmp_path / "public/metadata").glob("*.targets.json"))) == 2

    item = Item(kind="email", value="new@shop.example", reference="x")
    content = Contribution(kind=ContributionKind.SIGHTING, items=(item,))
    recipient.send(Outgoing("key-2", Verb.ADD, "ctr_00007a", content=content))
    assert standing(tmp_path).keys() - after.keys() == {"ctr_00007a"}
    assert len(set(standing(tmp_path).values()) - set(after.values())) == 1


def test_a_bundle_that_is_not_whole_is_published_whole(recipient: BundleRecipient, tmp_path: Path) -> None:
    for path in (tmp_path / "public/targets").iterdir():
        path.write_bytes(b"")
    recipient.send(Outgoing("key-1", Verb.RETRACT, "ctr_00001", 2))
    assert len(standing(tmp_path)) == COUNT - 1


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
