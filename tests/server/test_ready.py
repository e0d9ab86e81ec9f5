"""`/readyz` says within a moment that the store is dead, although the process lives."""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta

from fastapi.testclient import TestClient

from paycordon.coalition.identifiers import Digester
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet
from paycordon.screening import Cordon
from paycordon.server import create_app
from paycordon.store import Store
from paycordon.testing import FrozenClock, make_event


def test_a_store_that_was_found_locked_makes_the_process_not_ready(
    sqlite_url: str, digester: Digester, clock: FrozenClock
) -> None:
    store = Store.open(sqlite_url, patience=timedelta(milliseconds=200), watch=timedelta(milliseconds=40))
    cordon = Cordon(store, PolicySet(), Plugins({}), digester, clock=clock)
    client = TestClient(create_app(cordon, {}))
    assert client.get("/readyz").status_code == 200
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert cordon.screen(make_event("payout.requested")).id.startswith("unrecorded_")
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    other.execute("ROLLBACK")
    other.close()
    deadline = time.monotonic() + 2
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    cordon.close()
