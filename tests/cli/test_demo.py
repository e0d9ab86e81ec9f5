"""The demonstration is the whole pipeline; what the README shows of it is what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paycordon", "demo", *options]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_the_demonstration_decides_holds_releases_and_verifies() -> None:
    done = demo("--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    story = [(row["answer"], row["outcome"], row["rule"]) for row in shown["deliveries"]]
    assert story == [
        (200, "allow", ""),
        (200, "allow", ""),
        (200, "hold", "starter/indicator-certain"),
        (200, "hold", "starter/indicator-certain"),
        (200, "hold", "paycordon/standing_hold"),
        (401, "", ""),
        (200, "allow", ""),
        (200, "allow", ""),
        (200, "review", "starter/destination-changed"),
    ]
    held = {row["at_gateway"] for row in shown["deliveries"] if row["outcome"] == "hold"}
    assert held == {"payouts held (manual), cards on"}
    assert set(shown["after_release"].values()) == {"payouts daily, cards on"}
    assert len(shown["released"]) == 1, "a delivery that came twice makes one hold"
    assert shown["log"] == {"entries": 17, "ok": True}


def test_the_readme_shows_what_the_demonstration_prints() -> None:
    done = demo()
    assert done.returncode == 0, done.stderr
    printed = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    assert f"```text\n{printed}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
