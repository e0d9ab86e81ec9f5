"""A worker that is killed after a recipient took a message, and before it was noted, tells nothing twice."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from paycordon.exchange.bundle import BundleRecipient
from paycordon.exchange.contract import Here
from paycordon.exchange.sharing import Exchange
from paycordon.record.verify import verify
from paycordon.store.contributed import State

from .conftest import Office
from .test_conformance import published

KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from paycordon.coalition.identifiers import Digester
from paycordon.exchange.bundle import BundleRecipient
from paycordon.exchange.contract import Here
from paycordon.exchange.sharing import Exchange
from paycordon.outward.exchanging import Exchanging
from paycordon.store import Store

class Killed(BundleRecipient):
    def _publish(self, said):
        super()._publish(said)
        os._exit(9)

url, place, at = sys.argv[1:]
clock = lambda: datetime.fromisoformat(at)
here = Here("coalition", Digester({"k1": bytes(range(32))}, "k1"), Path(place), clock)
settings = BundleRecipient.settings_type.model_validate({"format": "bundle", "to": "public", "publisher": "keys"})
exchange = Exchange({"coalition": Killed(settings, here)})
Exchanging(Store.open(url), "coalition", exchange, owner="killed", clock=clock).run_once()
"""


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_kill_on_either_side_of_publishing_leaves_one_word(
    small_office: Office, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = small_office
    settings = BundleRecipient.settings_type.model_validate({"format": "bundle", "to": "public", "publisher": "keys"})
    recipient = BundleRecipient(settings, Here("coalition", office.digester, office.place, office.clock))
    office.exchange = Exchange({"coalition": recipient})
    office.payout()
    made = office.draft()
    office.agree(made.proposal.id)
    id_ = made.message.contribution or ""

    with monkeypatch.context() as patched:
        patched.setattr(BundleRecipient, "_publish", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            office.work()
    office.clock.advance(timedelta(minutes=6))  # the lease of the dead runs out
    arguments = (sqlite_url, str(office.place), office.clock().isoformat())
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=60)
    assert done.returncode == 9
    assert office.contribution(id_).state is State.WAITING
    office.clock.advance(timedelta(minutes=6))
    office.work()

    assert office.contribution(id_).state is State.SENT
    (line,) = published(Path(office.place) / "public")
    assert line["reference"] == id_
    versions = list((office.place / "public" / "metadata").glob("*.targets.json"))
    assert len(versions) == 1
    assert verify(office.store).ok
