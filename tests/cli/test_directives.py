"""`paycordon directive`: from the letter to the end of it, by a person of the role, and nothing for others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from paycordon.recognition import digest_of_token

NOW = datetime.now(UTC)
UNTIL, LATER, TOO_LATE = (f"{NOW + timedelta(days=days):%Y-%m-%d}" for days in (30, 60, 400))
LETTER = ("--merchant", "m_1", "--agency", "Synthetic Bureau", "--reference", "LETTER-7")
BY = ("--by", "rhea", "--reason", "as the letter says")


@pytest.fixture
def rhea(deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment with people, one of them of the role; rhea's token is in the environment."""
    people = f"""
people:
  rhea: {{token_sha256: {digest_of_token("pct_rhea")}, roles: [restricted]}}
  adam: {{token_sha256: {digest_of_token("pct_adam")}, roles: [admin]}}
"""
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text() + people)
    monkeypatch.setenv("PAYCORDON_TOKEN", "pct_rhea")


def test_without_any_it_says_what_to_do(cli, rhea: None) -> None:
    done = cli("directive", "list", "--by", "rhea")
    assert done.code == 0
    assert "paycordon directive keep-open --help" in done.out


def test_a_letter_counts_until_its_end(cli, rhea: None) -> None:
    placed = cli("directive", "keep-open", *LETTER, "--until", UNTIL, "--notified", *BY, "--json").json
    assert (placed["terms"]["kind"], placed["terms"]["notification"]) == ("keep_open", True)
    assert [each["id"] for each in cli("directive", "list", "--by", "rhea", "--json").json] == [placed["id"]]
    assert "LETTER-7" in cli("directive", "show", placed["id"], "--by", "rhea").out

    assert cli("directive", "renew", placed["id"], "--until", LATER, *BY).code == 0
    assert cli("directive", "renew", placed["id"], "--until", TOO_LATE, *BY).code == 2
    assert cli("directive", "end", placed["id"], *BY).code == 0
    assert cli("directive", "end", placed["id"], *BY).code == 2
    assert cli("directive", "list", "--by", "rhea", "--json").json == []
    (ended,) = cli("directive", "list", "--all", "--by", "rhea", "--json").json
    assert ended["ended_by"] == "rhea"
    verified = cli("directive", "verify", "--by", "rhea", "--json")
    assert (verified.code, verified.json["problems"]) == (0, [])
    assert cli("log", "verify").code == 0


def test_an_order_holds_and_only_the_role_lets_go(cli, hold: str, rhea: None, monkeypatch) -> None:
    merchant = cli("hold", "list", "--json").json[0]["merchant"]
    order = cli("directive", "freeze", *LETTER[2:], "--merchant", merchant, "--until", UNTIL, *BY, "--json").json
    assert {each["source"] for each in cli("hold", "list", "--json").json} == {"decision", "order"}
    assert cli("directive", "release", order["id"], *BY).code == 2  # it is in force

    monkeypatch.setenv("PAYCORDON_TOKEN", "pct_adam")
    done = cli("hold", "release", order["hold"], "--by", "adam", "--reason", "why not", "--yes")
    assert (done.code, "ordered by an authority" in done.err) == (2, True)

    monkeypatch.setenv("PAYCORDON_TOKEN", "pct_rhea")
    assert cli("directive", "end", order["id"], *BY).code == 0
    assert cli("directive", "release", order["id"], *BY, "--json").json["id"] == order["hold"]
    assert [each["source"] for each in cli("hold", "list", "--json").json] == ["decision"]
    assert cli("log", "verify").code == 0


def test_nobody_has_the_role_where_nobody_is_named(cli, deployment: Path) -> None:
    for arguments in (("list", "--by", "rhea"), ("show", "dir_1", "--by", "rhea"), ("verify", "--by", "rhea")):
        done = cli("directive", *arguments)
        assert done.code == 2
        assert "takes the role `restricted`" in done.err


def test_a_date_is_mandatory(cli, rhea: None) -> None:
    assert cli("directive", "keep-open", *LETTER, *BY).code == 2
    assert cli("directive", "keep-open", *LETTER, "--until", "2020-01-01", *BY).code == 2
