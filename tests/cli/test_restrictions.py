"""`paycordon restriction`: what is wanted, what is there, and what people decide about it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paycordon.config import load_config
from paycordon.errors import ConfigError
from paycordon.sections import Drift

CONFIG = """\
enforcement:
  drift: case
  accounts_per_s: 5
  instances:
    stripe_main: {drift: reapply, accounts_per_s: 0.5}
"""
BY = ("--by", "ann", "--reason", "looked at it")


def stored(deployment: Path, statement: str) -> None:
    with closing(sqlite3.connect(deployment / "paycordon.db")) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def test_without_any_it_says_where_to_look(cli, deployment: Path) -> None:
    done = cli("restriction", "list")
    assert done.code == 0
    assert "paycordon hold list" in done.out
    assert cli("restriction", "list", "--json").json == []


def test_one_is_listed_and_shown_with_what_the_holds_want(cli, hold: str) -> None:
    (listed,) = cli("restriction", "list", "--json").json
    assert (listed["account"], listed["wanted"], listed["state"]) == ("acct_1", "payouts_held", "unconfigured")
    assert cli("restriction", "show", "acct_1", "--json").json == listed
    assert "add `stripe_main` under `gateways`" in cli("restriction", "show", "acct_1").out
    assert cli("restriction", "show", "acct_9").code == 2


def test_workers_are_asked_to_look_now(cli, hold: str, deployment: Path) -> None:
    stored(deployment, "UPDATE restrictions SET due_at = 9000000000000000")
    assert cli("restriction", "reconcile", "--all", "--json").json == {"due": 1}
    assert cli("restriction", "reconcile", "--all", "--json").json == {"due": 0}
    assert cli("restriction", "reconcile").code == 2
    assert "no instance `nowhere`" in cli("restriction", "reconcile", "--instance", "nowhere").err


@pytest.mark.parametrize(("act", "then"), [("reapply", "pending"), ("accept", "accepted")])
def test_a_person_decides_once_about_what_was_set_by_hand(cli, configured: Path, deployment: Path, act, then) -> None:
    assert cli("restriction", act, "acct_1", *BY).code == 2  # nothing was set by hand
    stored(deployment, "UPDATE restrictions SET state = 'drifted', drift = '{}'")
    stored(deployment, "UPDATE holds SET two_people = 0")
    assert f"paycordon restriction {act} acct_1" in cli("restriction", "show", "acct_1").out
    assert cli("restriction", act, "acct_1", *BY, "--json").code == 0
    assert cli("restriction", act, "acct_1", *BY).code == 2  # it is decided
    (listed,) = cli("restriction", "list", "--json").json
    assert listed["state"] == then


def test_what_takes_two_people_to_release_is_not_left_as_it_was_set_by_one(cli, configured: Path, deployment) -> None:
    stored(deployment, "UPDATE restrictions SET state = 'drifted', drift = '{}'")
    done = cli("restriction", "accept", "acct_1", *BY)
    assert done.code == 2
    assert "two people" in done.err


def test_enforcement_is_configured_in_general_and_for_single_instances(configured: Path, deployment: Path) -> None:
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text() + CONFIG)
    enforcement = load_config(path, {"KEY": "sk_live_simulated", "SECRET": "whsec_simulated"}).enforcement
    assert [enforcement.drift_at(name) for name in ("any", "stripe_main")] == [Drift.CASE, Drift.REAPPLY]
    assert [enforcement.accounts_per_s_at(name) for name in ("any", "stripe_main")] == [5, 0.5]


def test_an_instance_that_is_not_configured_is_refused(deployment: Path) -> None:
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text() + CONFIG)
    with pytest.raises(ConfigError, match="`stripe_main`, which is not among `gateways`"):
        load_config(path, {})


def test_a_rate_of_nothing_is_refused(cli, deployment: Path) -> None:
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text() + "enforcement: {accounts_per_s: 0}\n")
    done = cli("restriction", "list")
    assert done.code == 2
    assert "accounts_per_s" in done.err
