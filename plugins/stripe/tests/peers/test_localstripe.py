"""One whole loop with a stateful Stripe that is not ours: see `localstripe_loop.py`, which this runs by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = Path(__file__).with_name("localstripe_loop.py")
UP = 'ip link set lo up && exec "$@"'


def in_a_namespace() -> list[str]:
    """Return what runs a command in a network namespace with nothing but a loopback in it."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("localstripe listens on all interfaces, and here are no `unshare` and `ip` to keep it to itself")
    for more in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *more, "--net", "sh", "-c", UP, "sh"]
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("localstripe listens on all interfaces, and no network namespace may be made here; run this as root")


@pytest.fixture
def executable() -> str:
    found = os.environ.get("PAYCORDON_LOCALSTRIPE")
    if not found:
        pytest.skip("set PAYCORDON_LOCALSTRIPE to localstripe's executable, in a virtual environment of its own")
    return found


def test_from_its_signed_webhook_to_a_cancelled_payout_and_back(executable: str, tmp_path: Path) -> None:
    command = [*in_a_namespace(), sys.executable, str(LOOP), executable, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(step.values())[1:] for step in steps] == [
        ["pending", False],
        [["signature_invalid", "stored"]],
        ["payout.requested", "hold", "additional_information_required"],
        ["canceled", False, True],
        ["canceled"],
        [["payout.requested", "payout.updated"], "canceled"],
    ]


def test_it_refuses_to_run_where_others_could_reach_it(executable: str, tmp_path: Path) -> None:
    here = Path("/sys/class/net")
    if not here.is_dir() or {each.name for each in here.iterdir()} == {"lo"}:
        pytest.skip("this machine has no interface but the loopback")

    done = subprocess.run(
        [sys.executable, str(LOOP), executable, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "network namespace" in done.stderr
