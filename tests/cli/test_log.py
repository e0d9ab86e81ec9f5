from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest


def tamper(deployment: Path, statement: str) -> None:
    with sqlite3.connect(deployment / "paycordon.db") as connection:
        assert connection.execute(statement).rowcount == 1
    connection.close()


def test_a_whole_log_is_verified_against_its_signed_checkpoints(cli, hold: str) -> None:
    assert cli("log", "checkpoint", "--out", "kept.jsonl").code == 0
    kept = Path("kept.jsonl").read_text()
    assert cli("log", "checkpoint", "--out", "kept.jsonl").code == 0
    assert Path("kept.jsonl").read_text() == kept, "a checkpoint is kept once"

    done = cli("log", "verify", "--checkpoints", "kept.jsonl", "--json")

    assert done.code == 0
    assert (done.json["ok"], done.json["entries"], done.json["checkpoints"]) == (True, 3, 2)


def test_a_checkpoint_that_a_worker_signed_can_still_be_kept(cli, hold: str) -> None:
    assert cli("work", "--once").code == 0
    assert cli("log", "checkpoint", "--out", "kept.jsonl").code == 0
    assert cli("log", "verify", "--checkpoints", "kept.jsonl").code == 0


def test_an_empty_log_has_nothing_to_sign(cli, deployment: Path) -> None:
    assert "nothing was logged yet" in cli("log", "checkpoint").out


def test_the_first_bad_entry_is_named(cli, deployment: Path, hold: str) -> None:
    tamper(deployment, "UPDATE log SET payload = '{}' WHERE seq = 1")

    done = cli("log", "verify")

    assert done.code == 1
    assert done.out.splitlines()[0].startswith("entry 1: ")
    assert "the log was changed; first: entry 1: " in done.out


def test_a_checkpoint_that_was_kept_shows_that_the_end_is_missing(cli, deployment: Path, hold: str) -> None:
    cli("log", "checkpoint", "--out", "kept.jsonl")
    tamper(deployment, "DELETE FROM checkpoints")
    tamper(deployment, "DELETE FROM log WHERE seq = 3")

    done = cli("log", "verify", "--checkpoints", "kept.jsonl", "--json")

    assert done.code == 1
    assert done.json["problems"][0]["entry"] == 3


def test_an_auditor_verifies_with_the_public_key_alone(cli, deployment: Path, hold: str) -> None:
    Path("public.pem").write_text(cli("log", "public-key").out)
    cli("init", "other")
    Path("stranger.pem").write_text(cli("log", "public-key", "--config", "other/paycordon.yaml").out)
    cli("log", "checkpoint")
    config = Path("paycordon.yaml")
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("log_signing_key")))

    assert cli("log", "verify", "--public-key", "public.pem", "--json").json["checkpoints"] == 1
    assert cli("log", "verify", "--public-key", "stranger.pem").code == 1
    assert "signatures not checked" in cli("log", "verify").out
    without = cli("log", "checkpoint")
    assert without.code == 2
    assert "`log_signing_key`" in without.err


@pytest.mark.parametrize(
    ("option", "content", "told"),
    [
        ("--checkpoints", b"{}", "kept:1:1: line 1 is not a checkpoint"),
        ("--checkpoints", b"\n[[[[", "line 2 is not a checkpoint"),
        ("--checkpoints", b"[" * 100_000, "line 1 is not a checkpoint"),
        ("--checkpoints", b"\xff", "not UTF-8"),
        ("--checkpoints", b"", "empty"),
        ("--public-key", b"not a key", "kept:1:1: the public key"),
        ("--checkpoints", None, "kept:1:1: cannot be read"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(cli, deployment: Path, option, content, told: str) -> None:
    if content is not None:
        Path("kept").write_bytes(content)

    done = cli("log", "verify", option, "kept")

    assert done.code == 2
    assert told in done.err
    assert len(done.err) < 500


def test_a_checkpoint_that_could_not_be_kept_is_not_signed(cli, hold: str) -> None:
    assert cli("log", "checkpoint", "--out", "nosuch/kept.jsonl").code == 2

    assert cli("log", "checkpoint", "--json").json["seq"] == 3


def test_an_empty_log_is_whole(cli, deployment: Path) -> None:
    done = cli("log", "verify", "--json")

    assert (done.code, json.loads(done.out)["entries"]) == (0, 0)
