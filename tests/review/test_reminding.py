"""The role `restricted` is reminded of deadlines at an endpoint of its own, once a stage; nobody else hears of it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from paycordon.coalition_sections import RemindersSection
from paycordon.config import load_config
from paycordon.errors import ConfigError
from paycordon.outward.reminding import Reminding
from paycordon.review.referral_deadlines import ReferralClock
from paycordon.sections import Clocks
from paycordon.store import reminders
from paycordon.testing import Answer, Fault, HttpSimulator, Request

from .conftest import POLICY
from .desk import EMAIL, Desk, on_one_database

SECRET = "whsec_" + base64.b64encode(b"of the role, synthetic!!").decode()


class Killed(BaseException):
    """The process dies here."""


class Endpoint(HttpSimulator):
    """What people of the role read."""

    stall = 0.05

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def answer(self, request: Request) -> Answer:
        at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)  # of a clock that stands still
        signed = Webhook(SECRET).sign(request.headers["webhook-id"], at, request.body.decode())
        if request.headers["webhook-signature"] != signed:
            return Answer(401, None)
        self.heard.append((request.headers["webhook-id"], json.loads(request.body)))
        return Answer(204, None)

    def settings(self) -> RemindersSection:
        return RemindersSection(url=f"{self.url}/restricted", secrets=(SECRET,))


@pytest.fixture
def endpoint():
    with Endpoint() as listening:
        yield listening


def remind(desk: Desk, endpoint: Endpoint) -> None:
    """Do what a worker does about reminders."""
    clock = ReferralClock(desk.store, Clocks(), desk.clock, reminding=True)
    telling = Reminding(desk.store, endpoint.settings(), owner="w1", clock=desk.clock)
    while clock.step() or telling.run_once():
        pass


def test_each_stage_is_told_once_in_neutral_words(desk: Desk, endpoint: Endpoint) -> None:
    id_ = desk.receive()
    remind(desk, endpoint)
    assert endpoint.heard == []
    for days in (2.5, 0.6, 7):
        desk.clock.advance(timedelta(days=days))
        remind(desk, endpoint)
        remind(desk, endpoint)
    assert [body["data"]["stage"] for _, body in endpoint.heard] == ["near", "passed", "open"]
    assert len({key for key, _ in endpoint.heard}) == 3
    said = json.dumps(endpoint.heard)
    assert not [word for word in (id_, "T-1", "clearing house", "m_1", EMAIL, "referral") if word in said]
    kinds = [kind for kind in desk.restricted_kinds() if kind.startswith("reminder")]
    assert kinds == ["reminder.told"] * 3
    assert desk.everything("reminders", "notifications") == {"reminders": [], "notifications": []}
    assert desk.sound()


def test_without_an_endpoint_nothing_waits_to_be_told(desk: Desk) -> None:
    desk.receive()
    desk.clock.advance(timedelta(days=4))
    desk.work()
    assert desk.everything("reminders") == {"reminders": []}
    assert "referral.due" in desk.restricted_kinds()


def test_what_an_endpoint_did_not_take_is_told_again_under_its_key(
    desk: Desk, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk.receive()
    desk.clock.advance(timedelta(days=4))
    endpoint.faults.add(Fault.ERROR_AFTER)
    endpoint.faults.add(Fault.UNREACHABLE, after=1)
    remind(desk, endpoint)
    with desk.store.read() as connection:
        waiting = reminders.unsent(connection)
    assert waiting is not None
    assert (waiting.count, waiting.error) == (1, "the receiver answered 500")
    desk.clock.advance(timedelta(minutes=1))
    remind(desk, endpoint)

    def killed(*_: object) -> None:
        raise Killed

    desk.clock.advance(timedelta(minutes=1))
    with monkeypatch.context() as patched:
        patched.setattr(reminders, "told", killed)
        with pytest.raises(Killed):
            remind(desk, endpoint)
    remind(desk, endpoint)  # the lease of the dead runs
    assert len(endpoint.heard) == 2
    desk.clock.advance(timedelta(minutes=6))
    remind(desk, endpoint)
    assert len(endpoint.heard) == 3
    assert len({key for key, _ in endpoint.heard}) == 1
    with desk.store.read() as connection:
        assert reminders.unsent(connection) is None
    assert caplog.text == ""


@on_one_database
def test_a_death_on_the_line_after_loses_neither_the_mark_nor_the_reminder(
    desk: Desk, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.receive()
    desk.clock.advance(timedelta(days=4))

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(reminders, "write", killed)
        with pytest.raises(Killed):
            remind(desk, endpoint)
    assert "referral.due" not in desk.restricted_kinds()
    remind(desk, endpoint)
    assert [body["data"]["stage"] for _, body in endpoint.heard] == ["passed"]


CONFIG = """\
store: sqlite:///x.db
identifier_keys: {current: k1, keys: {k1: 'env:KEY'}}
policies: [policies]
referrals: {reminders: {url: 'https://role.example/hook', secrets: ['env:HOOK']}}
"""


def test_an_endpoint_that_others_read_is_refused_and_so_is_a_secret_in_plain_text(tmp_path: Path) -> None:
    environ = {"KEY": "k" * 64, "HOOK": SECRET}
    path = tmp_path / "paycordon.yaml"
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "payouts.yaml").write_text(POLICY)
    path.write_text(CONFIG)
    read = load_config(path, environ).referrals.reminders
    assert read is not None
    assert read.secrets == (SECRET,)
    assert "role.example" not in repr(read)
    path.write_text(CONFIG + "notifications: {all: {url: 'https://role.example/hook', secrets: ['env:HOOK']}}\n")
    with pytest.raises(ConfigError, match=r"paycordon.yaml:4:.* an endpoint of `notifications` too"):
        load_config(path, environ)
    path.write_text(CONFIG.replace("env:HOOK", SECRET))
    with pytest.raises(ConfigError, match="plain text"):
        load_config(path, environ)
