from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

ERASE = ("erase", "--merchant", "m_1", "--basis", "request of 2 March", "--by", "ada", "--yes")


@pytest.fixture
def released(cli, hold: str) -> str:
    """A merchant that nothing stands against any more."""
    add = ("indicator", "withdraw", "--source", "IWF", "--reference", "case-7", "--by", "ada", "--reason", "wrong")
    assert cli(*add, "--kind", "email", "--value-file", "-", stdin="seller1@shop.example").code == 0
    assert cli("withdrawal", "run").code == 0
    (begun,) = cli("withdrawal", "list", "--json").json
    release = ("withdrawal", "release", begun["id"], "--by", "ada", "--reason", "wrong", "--json")
    (proposal,) = cli(*release).json["proposed"]
    assert cli("proposal", "agree", proposal, "--by", "grace", "--reason", "it was").code == 0
    return hold


def test_everything_is_kept_for_good_until_periods_are_set(cli, released: str, deployment: Path) -> None:
    report = cli("retention", "report")
    assert "`retention:` in the configuration sets periods" in report.out
    assert "nothing is past its time" in cli("retention", "run").out
    config = Path("paycordon.yaml")
    config.write_text(config.read_text() + "\nretention: {events: 5y, decisions: 90d}\n")
    periods = {each["name"]: each["period"] for each in cli("retention", "report", "--json").json}
    assert (periods["events"], periods["decisions"], periods["cases"]) == (1_830, 90, None)
    dry = cli("retention", "run", "--dry-run", "--json")
    assert {each["due"] for each in dry.json} == {0}
    config.write_text(config.read_text().replace("5y", "5 years"))
    refused = cli("retention", "report")
    assert (refused.code, "a period is written as `30d` or `5y`" in refused.err) == (2, True)


def test_a_merchant_is_erased_once_nothing_stands(cli, released: str) -> None:
    done = cli(*ERASE, "--json")
    assert done.code == 0, done.err
    assert done.json == {"merchant": "m_1", "events": 1, "decisions": 1, "holds": 1}
    assert cli("log", "verify").code == 0
    assert "was erased" in cli("hold", "show", released).err
    assert cli("hold", "list", "--all").code == 0
    assert cli(*ERASE, "--json").json["events"] == 0


def test_a_held_merchant_is_not_erased(cli, hold: str) -> None:
    refused = cli(*ERASE)
    assert (refused.code, "a hold in force and an open case" in refused.err) == (2, True)
    assert cli("erase", "--merchant", "m_9", "--basis", "x", "--by", "ada", "--yes").code == 2
    assert "confirm with `--yes`" in cli(*ERASE[:-1]).err


def test_only_an_admin_erases_and_only_the_restricted_role_sees_what_is_withheld(
    cli, released: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = hashlib.sha256(b"a token").hexdigest()
    config = Path("paycordon.yaml")
    people = "".join(
        f"  {name}: {{roles: [{role}], token_sha256: '{token}'}}\n"
        for name, role in (("ada", "analyst"), ("grace", "admin"), ("eve", "restricted"))
    )
    config.write_text(f"{config.read_text()}\npeople:\n{people}")
    monkeypatch.setenv("PAYCORDON_TOKEN", "a token")
    assert "role `admin`" in cli(*ERASE).err
    as_admin = [*ERASE[:-3], "--by", "grace", "--yes"]
    assert cli(*as_admin).code == 0
    withheld = ("retention", "withheld", "--merchant", "m_1", "--by")
    assert "role `restricted`" in cli(*withheld, "grace").err
    assert "nothing is withheld of m_1" in cli(*withheld, "eve").out
    assert cli(*withheld, "eve", "--json").json == []
