"""`paycordon policy backtest` and `paycordon policy diff`."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon import backtest
from paycordon.config import load_config
from paycordon.screening import Cordon
from paycordon.store import Store
from paycordon.store.lists import add
from paycordon.testing import make_event

POLICY = """
policy: payouts
version: 1
on_error: review
aggregates:
  payouts_1d: {{count: payout.requested, window: 24h}}
rules:
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > {large}
    then: hold
    merchant_reason: additional_information_required
"""
START = datetime(2026, 3, 1, tzinfo=UTC)


def policy(path: Path, large: int) -> Path:
    path.write_text(POLICY.format(large=large))
    return path


def payouts(number: int) -> list[Any]:
    return [
        make_event(
            "payout.requested",
            id=f"evt_{n}",
            occurred_at=START + timedelta(hours=n),
            merchant={"id": f"m_{n}", "country": "NL"},
            account={"id": f"acct_{n}"},
            payout={"id": f"po_{n}", "amount": {"minor": n * 100, "currency": "EUR"}},
        )
        for n in range(number)
    ]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a configuration, with two policies and a history."""
    monkeypatch.chdir(tmp_path)
    policy(tmp_path / "old.yaml", 1_500)
    policy(tmp_path / "new.yaml", 1_000)
    (tmp_path / "history.jsonl").write_text("".join(f"{event.model_dump_json()}\n" for event in payouts(20)))
    return tmp_path


def test_a_backtest_prints_what_is_stopped(cli: Any, here: Path) -> None:
    done = cli("policy", "backtest", "new.yaml", "--history", "history.jsonl", "--jobs", "1")

    assert done.code == 0, done.err
    assert "20 events of 20 merchants judged" in done.out
    assert "135.00 EUR" in done.out  # 11 to 19
    assert "payouts/large" in done.out


def test_a_diff_as_json_and_as_a_page_with_thresholds(cli: Any, here: Path) -> None:
    arguments = ("policy", "diff", "old.yaml", "new.yaml", "--history", "history.jsonl", "--jobs", "1")

    done = cli(*arguments, "--json", "--html", "out.html", "--fail-if", "newly_held_merchants > 4")
    fine = cli(*arguments, "--json", "--fail-if", "newly_held_merchants > 5", "--fail-if", "changed_events > 25%")

    assert (done.code, fine.code) == (1, 0)
    assert done.json["crossed"] == ["newly_held_merchants > 4: it is 5"]
    assert {e["kind"]: e["total"]["merchants"] for e in done.json["report"]["effects"]}["newly_held"] == 5
    assert fine.json["report"] == done.json["report"]
    assert (here / "out.html").stat().st_mode & 0o777 == 0o600
    assert "newly_held_merchants &gt; 4" in (here / "out.html").read_text()


def test_bad_lines_are_counted_on_stderr(cli: Any, here: Path) -> None:
    with (here / "history.jsonl").open("a") as file:
        file.write("{\n")

    done = cli("policy", "backtest", "new.yaml", "--history", "history.jsonl", "--jobs", "1")
    strict = cli("policy", "backtest", "new.yaml", "--history", "history.jsonl", "--jobs", "1", "--strict")

    assert done.code == 0
    assert "line 21: invalid JSON" in done.err
    assert "1 lines could not be used" in done.err
    assert strict.code == 2
    assert "line 21 of `history.jsonl` cannot be used" in strict.err


def test_a_revision_of_git_is_a_policy_set(cli: Any, here: Path) -> None:
    directory = here / "policies"
    directory.mkdir()
    policy(directory / "payouts.yaml", 1_500)
    git = ("git", "-c", "user.name=synthetic", "-c", "user.email=synthetic@shop.example")
    for command in (("init", "-q"), ("add", "policies"), ("commit", "-q", "-m", "first")):
        subprocess.run([*git, *command], check=True, capture_output=True)
    policy(directory / "payouts.yaml", 1_000)

    done = cli("policy", "diff", "HEAD:policies", "policies", "--history", "history.jsonl", "--jobs", "1", "--json")
    file = cli(
        "policy",
        "diff",
        "HEAD:policies/payouts.yaml",
        "policies",
        "--history",
        "history.jsonl",
        "--jobs",
        "1",
        "--json",
    )

    assert done.code == 0, done.err
    assert done.json["report"]["affected"]["events"] == 5
    assert file.json["report"]["affected"] == done.json["report"]["affected"]


def test_directories_bring_their_bindings(cli: Any, here: Path) -> None:
    for name, mode in (("strict", "enforce"), ("quiet", "shadow")):
        (here / name).mkdir()
        policy(here / name / "payouts.yaml", 1_000)
        (here / name / "bindings.yaml").write_text(f"bindings:\n  - {{id: b, policy: payouts, mode: {mode}}}\n")

    done = cli("policy", "diff", "strict", "quiet", "--history", "history.jsonl", "--jobs", "1", "--json")

    assert {e["kind"]: e["total"]["events"] for e in done.json["report"]["effects"]}["newly_released"] == 9
    assert done.json["report"]["sides"][1]["shadow"]["hold"]["events"] == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.yaml", "--history", "history.jsonl"], "cannot be read"),
        (["HEAD:none", "--history", "history.jsonl"], "git knows no"),
        (["new.yaml", "--history", "none.jsonl"], "there is no history `none.jsonl`"),
        (["new.yaml"], "there is no configuration"),
        (["new.yaml", "--history", "history.jsonl", "--memory", "lots"], "`lots` is no amount of memory"),
        (["new.yaml", "--history", "history.jsonl", "--fail-if", "helds > 1"], "there is no metric `helds`"),
        (["new.yaml", "--history", "history.jsonl", "--state", "new.yaml"], "cannot be used"),
        (["new.yaml", "old.yaml", "--history", "history.jsonl"], "there are two policies named `payouts`"),
    ],
)
def test_what_cannot_be_run_is_an_error_with_its_reason(
    cli: Any, here: Path, arguments: list[str], message: str
) -> None:
    done = cli("policy", "backtest", *arguments)

    assert done.code == 2
    assert message in done.err


def test_without_the_extra_it_says_what_to_install(cli: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = backtest.find_spec
    monkeypatch.setattr(backtest, "find_spec", lambda name: None if name == "duckdb" else found(name))

    done = cli("policy", "backtest", "new.yaml", "--history", "history.jsonl", "--json")

    assert done.code == 2
    assert done.error["hint"] == "pip install 'paycordon[backtest]'"
    assert "`duckdb`" in done.error["message"]


def test_the_stores_own_history_is_the_default(cli: Any, here: Path) -> None:
    assert cli("init").code == 0
    cordon = Cordon.from_config(here / "paycordon.yaml")
    try:
        for event in payouts(20):
            cordon.screen(event)
    finally:
        cordon.close()

    done = cli("policy", "diff", "old.yaml", "new.yaml", "--jobs", "1", "--json")

    assert done.code == 0, done.err
    assert done.json["report"]["history"]["name"] == "the store"
    assert done.json["report"]["history"]["unit"] == "entry"
    assert json.dumps(done.json["report"]["affected"]["money"]) == '{"EUR": 6500}'


def test_lists_in_the_store_are_looked_up_as_they_are_now(cli: Any, here: Path) -> None:
    assert cli("init").code == 0
    text = (here / "new.yaml").read_text().replace("aggregates:", "lists: {known: {store: known}}\naggregates:")
    (here / "listed.yaml").write_text(text.replace("event.payout.amount.minor > 1000", "listed(event.id, lists.known)"))
    arguments = ("policy", "backtest", "listed.yaml", "--history", "history.jsonl", "--jobs", "1", "--json")

    before = cli(*arguments)
    store = Store.open(load_config(here / "paycordon.yaml", {}).store)
    with store.write() as connection:
        add(connection, "known", ["evt_1", "evt_2"], by="anna", reason="synthetic", until=None, now=START)
    store.close()
    after = cli(*arguments)
    without = cli(*arguments, "--config", "none.yaml")

    assert [each.json["report"]["affected"]["events"] for each in (before, after, without)] == [0, 2, 0]
    assert "these lists of the store are empty: known" in without.err
