from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.store.schema import micros

NOW = datetime.now(UTC)
LATE, SOON = micros(NOW - timedelta(hours=1)), micros(NOW + timedelta(hours=1))
COLUMNS = "instance, message_id, type, received_at, body, state, failures, last_error, due_at, lease_until"
DELIVERY = f"INSERT INTO deliveries ({COLUMNS})"


INSTANCE = "gateways: {s: {adapter: stripe, mode: test, api_key: 'env:SYNTHETIC', webhook_secrets: ['env:SYNTHETIC']}}"


@pytest.fixture
def database(cli, deployment: Path) -> Path:
    assert cli("doctor").code == 0
    return deployment / "paycordon.db"


@pytest.fixture
def instance(database: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a configured gateway instance."""
    monkeypatch.setenv("SYNTHETIC", "sk_test_synthetic")
    config = database.parent / "paycordon.yaml"
    config.write_text(config.read_text().replace("gateways: {}", INSTANCE))
    return "s"


def change(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def found(cli, part: str) -> dict[str, Any]:
    """The worst that the doctor says about a part."""
    done = cli("doctor", "--json")
    about = [each for each in done.json["found"] if each["part"] == part]
    worst = min(about, key=lambda each: ["fail", "warn", "ok"].index(each["health"]))
    assert done.code == (1 if any(each["health"] == "fail" for each in done.json["found"]) else 0)
    assert worst["fix"] or worst["health"] == "ok"
    return worst


@pytest.mark.parametrize(
    ("roles", "warned"),
    [(["restricted"], True), (["restricted"] * 2, True), (["restricted", "restricted, approver"], False)],
)
def test_a_release_that_nobody_can_agree_to_is_a_warning(cli, database: Path, roles: list[str], warned: bool) -> None:
    people = "".join(f"  p{n}: {{token_sha256: {'ab' * 32}, roles: [{each}]}}\n" for n, each in enumerate(roles))
    config = database.parent / "paycordon.yaml"
    config.write_text(f"{config.read_text()}people:\n{people}")
    about = [each["health"] for each in cli("doctor", "--json").json["found"] if each["part"] == "people"]
    assert about == (["warn"] if warned else [])


def test_a_key_that_others_can_read_is_a_warning_with_the_command_that_helps(cli, database: Path) -> None:
    key = database.parent / ".paycordon" / "identifier.key"
    key.chmod(0o644)

    assert found(cli, "keys")["fix"] == f"chmod 600 {key}"
    key.chmod(0o600)
    assert found(cli, "keys")["health"] == "ok"


def test_policies_are_examined_under_their_bindings(cli, database: Path) -> None:
    bindings = database.parent / "policies" / "bindings.yaml"
    bindings.write_text("bindings:\n  - {id: all, policy: starter, mode: enforce}\n")
    assert "in force without caps" in found(cli, "policies")["message"]
    bindings.write_text("bindings:\n  - {id: all, policy: starter, mode: enforce, caps: {holds_per_hour: 50}}\n")
    assert found(cli, "policies")["health"] == "ok"


def test_a_short_or_missing_key_fails(cli, database: Path) -> None:
    key = database.parent / ".paycordon" / "identifier.key"
    key.write_text("short")
    assert "shorter than 32 bytes" in found(cli, "configuration")["message"]
    key.unlink()
    assert "identifier.key" in found(cli, "configuration")["message"]


def test_a_stuck_delivery_fails_until_somebody_retries_it(cli, database: Path, instance: str) -> None:
    change(database, f"{DELIVERY} VALUES ('s', 'm', 't', 0, '{{}}', 'stuck', 16, 'PayloadInvalid', {LATE}, 0)")
    assert found(cli, "deliveries")["fix"] == "`paycordon delivery list` says why"

    (stuck,) = cli("delivery", "list", "--json").json
    assert (stuck["id"], stuck["last_error"]) == (1, "PayloadInvalid")
    assert "paycordon delivery retry" in cli("delivery", "list").out
    assert cli("delivery", "retry", "1").code == 0
    assert found(cli, "deliveries")["health"] == "ok"
    assert cli("delivery", "list", "--json").json == []
    assert [each["state"] for each in cli("delivery", "list", "--waiting", "--json").json] == ["waiting"]
    assert cli("delivery", "retry", "1").code == 2


def test_deliveries_that_nobody_works_on_fail(cli, database: Path, instance: str) -> None:
    change(database, f"{DELIVERY} VALUES ('s', 'm', 't', 0, '{{}}', 'waiting', 0, NULL, {SOON}, 0)")
    assert found(cli, "deliveries")["message"] == "1 wait, none too long"
    change(database, f"UPDATE deliveries SET due_at = {LATE}")
    assert found(cli, "deliveries")["fix"] == "start a worker with `paycordon work`"


def test_deliveries_of_an_instance_that_is_not_configured_any_more_fail_at_once(cli, database: Path) -> None:
    change(database, f"{DELIVERY} VALUES ('gone', 'm', 't', 0, '{{}}', 'waiting', 0, NULL, {SOON}, 0)")
    about = found(cli, "deliveries")
    assert about["message"] == "1 deliveries of `gone` wait, and no such instance is configured to take them"
    assert about["fix"] == "add `gone` under `gateways` until they are done"


def test_a_held_account_at_an_instance_that_is_not_configured_is_a_warning(cli, hold: str) -> None:
    about = found(cli, "restrictions")

    assert about["health"] == "warn"
    assert "`stripe_main`" in about["message"]


def test_a_log_that_was_changed_fails(cli, hold: str, deployment: Path) -> None:
    change(deployment / "paycordon.db", "UPDATE log SET payload = '{}' WHERE seq = 2")

    about = found(cli, "log")
    assert (about["health"], about["message"]) == ("fail", "entry 2 was changed")


def test_a_log_from_the_future_says_that_the_clock_is_wrong(cli, hold: str, deployment: Path) -> None:
    change(deployment / "paycordon.db", f"UPDATE log SET at = {SOON} WHERE seq = 2")

    assert found(cli, "clock")["health"] == "fail"


def test_a_policy_with_risks_is_a_warning(cli, database: Path) -> None:
    policy = database.parent / "policies" / "starter.yaml"
    policy.write_text(policy.read_text().replace("params:\n", "params:\n  unused: 1\n"))

    about = found(cli, "policies")
    assert about["health"] == "warn"
    assert "starter.yaml:" in about["message"]


def test_a_required_plugin_that_is_not_installed_fails_and_the_rest_is_still_examined(cli, database: Path) -> None:
    config = database.parent / "paycordon.yaml"
    config.write_text(config.read_text() + "required: [nosuch]\n")

    assert found(cli, "plugins")["fix"] == "pip install paycordon-nosuch"
    assert found(cli, "store")["health"] == "ok"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///nosuch/paycordon.db", "unable to open database file"),
        ("mysql://localhost/x", "not supported"),
        ("nonsense", "cannot be read"),
    ],
)
def test_a_store_that_cannot_be_opened_fails(cli, database: Path, url: str, told: str) -> None:
    config = database.parent / "paycordon.yaml"
    config.write_text(config.read_text().replace("sqlite:///paycordon.db", url))

    about = found(cli, "store")
    assert about["health"] == "fail"
    assert told in about["message"]


def test_people_read_what_to_do(cli, database: Path) -> None:
    text = cli("doctor").out

    assert "ready" in text
    assert "paycordon plugins" in text


def test_what_somebody_changed_by_hand_is_a_warning_until_a_person_decides(cli, configured: Path) -> None:
    change(configured, f"UPDATE restrictions SET state = 'drifted', drift = '{{}}', due_at = {SOON}")
    assert "changed by hand" in found(cli, "restrictions")["message"]
    assert cli("restriction", "reapply", "acct_1", "--by", "ann", "--reason", "nobody of ours did it").code == 0
    assert found(cli, "restrictions")["health"] == "ok"


def test_a_gateway_that_is_left_alone_fails(cli, configured: Path) -> None:
    assert found(cli, "gateways")["health"] == "ok"
    change(
        configured,
        "INSERT INTO gateway_health (instance, failed, rests, rests_until, probe_until, next_at, changed_at) "
        f"VALUES ('stripe_main', '[]', 2, {SOON}, 0, 0, 0)",
    )
    about = found(cli, "gateways")
    assert about["health"] == "fail"
    assert re.search(r"tried again in \d+ minutes", about["message"])
