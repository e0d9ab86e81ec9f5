from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest


def test_what_init_makes_passes_the_doctor(cli, deployment: Path) -> None:
    done = cli("doctor", "--json")

    assert done.code == 0
    assert done.json["ok"] is True
    parts = {each["part"]: each["health"] for each in done.json["found"]}
    assert parts["store"] == parts["policies"] == parts["keys"] == parts["log"] == "ok"


def test_keys_are_for_the_owner_only_and_differ_between_deployments(cli, deployment: Path) -> None:
    cli("init", "other")
    for name in ("identifier.key", "log-signing.pem", "api.token"):
        mine, other = deployment / ".paycordon" / name, deployment / "other" / ".paycordon" / name
        assert stat.S_IMODE(mine.stat().st_mode) == 0o600
        assert mine.read_text() != other.read_text()
    assert stat.S_IMODE((deployment / ".paycordon").stat().st_mode) == 0o700


def test_no_secret_stands_in_the_configuration_and_keys_stay_out_of_version_control(deployment: Path) -> None:
    config = (deployment / "paycordon.yaml").read_text()
    for path in (deployment / ".paycordon").iterdir():
        assert path.read_text().strip() not in config
    assert ".paycordon/" in (deployment / ".gitignore").read_text().splitlines()


def test_an_existing_gitignore_is_kept_and_not_added_to_twice(cli, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n.paycordon/")

    assert cli("init", tmp_path).code == 0
    assert (tmp_path / ".gitignore").read_text() == "*.log\n.paycordon/\npaycordon.db*\n"


@pytest.mark.parametrize("existing", ["paycordon.yaml", ".paycordon/identifier.key", "policies/starter.yaml"])
def test_nothing_is_overwritten_and_nothing_else_is_made(cli, tmp_path: Path, existing: str) -> None:
    mine = tmp_path / existing
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")

    done = cli("init", tmp_path)

    assert done.code == 2
    assert str(mine) in done.err
    assert "move it away" in done.err
    assert mine.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]


def test_a_dangling_link_in_place_of_a_file_is_not_followed(cli, tmp_path: Path) -> None:
    (tmp_path / "paycordon.yaml").symlink_to(tmp_path / "elsewhere")

    assert cli("init", tmp_path).code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_half_way_leaves_nothing_behind(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    done = cli("init", tmp_path / "new")

    assert done.code == 2
    assert "no space left" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_section_is_a_comment_until_it_is_filled_in(cli, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("paycordon_stripe")
    monkeypatch.chdir(tmp_path)
    assert cli("init", "--adapter", "stripe").code == 0
    assert cli("doctor").code == 0

    text = Path("paycordon.yaml").read_text()
    start = text.index("# required: [stripe]")
    uncommented = "\n".join(line.removeprefix("# ") for line in text[start:].splitlines())
    Path("paycordon.yaml").write_text(text[:start] + uncommented + "\n")

    missing = cli("doctor", "--json")
    assert missing.code == 1
    assert "STRIPE_API_KEY" in missing.json["found"][0]["message"]

    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_synthetic")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_synthetic")
    done = cli("doctor", "--json")
    assert done.code == 0, done.out
    assert {"part": "gateways", "health": "ok", "message": "stripe_main (test)", "fix": ""} in done.json["found"]


def test_an_adapter_that_is_not_installed_is_named_with_what_is(cli, tmp_path: Path) -> None:
    done = cli("init", tmp_path, "--adapter", "nosuch", "--json")

    assert done.code == 2
    assert done.error["message"] == "there is no adapter `nosuch`"
    assert "installed adapters" in done.error["hint"]
    assert list(tmp_path.iterdir()) == []
