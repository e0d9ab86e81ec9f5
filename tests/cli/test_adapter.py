"""`paycordon adapter new`: what it writes runs at once, red, and says what is to be done; filled in, it is green."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "examples" / "new_gateway"


def suite_of(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=prepend", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=170)


def test_the_suite_of_a_new_adapter_is_red_and_lists_what_is_to_be_done(cli, tmp_path: Path) -> None:
    done = cli("adapter", "new", "other_pay", "--directory", tmp_path / "new")
    assert done.code == 0, done.err
    assert "pip install -e" in done.out
    run = suite_of(tmp_path / "new")
    assert run.returncode == 1, run.stdout + run.stderr
    assert re.findall(r"^(\d)\. `", run.stdout, re.MULTILINE) == ["1", "2", "3", "4", "5", "6"]


def test_filled_in_with_the_tutorials_parts_it_is_green(cli, tmp_path: Path) -> None:
    directory = tmp_path / "filled"
    assert cli("adapter", "new", "acme_pay", "--directory", directory).code == 0
    (directory / "src" / "paycordon_acme_pay" / "gateway.py").write_text((TUTORIAL / "acme_pay.py").read_text())
    (directory / "src" / "paycordon_acme_pay" / "__init__.py").write_text("")
    (directory / "tests" / "simulator.py").write_text((TUTORIAL / "acme_simulator.py").read_text())
    suite = (TUTORIAL / "test_acme_pay.py").read_text().replace("from acme_pay ", "from paycordon_acme_pay.gateway ")
    (directory / "tests" / "test_conformance.py").write_text(suite.replace("from acme_simulator ", "from simulator "))
    run = suite_of(directory, "-k", "authentic or translate or corpus or signature or secret or release or baseline")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "to do" not in run.stdout


@pytest.mark.parametrize("name", ["Acme", "acme pay", "../acme", "", "stripe", "1pay", "a" * 41, "acme-pay"])
def test_a_name_that_cannot_be_one_writes_nothing(cli, tmp_path: Path, name: str) -> None:
    done = cli("adapter", "new", name, "--directory", tmp_path / "new")
    assert done.code == 2
    assert not (tmp_path / "new").exists()


def test_a_directory_that_exists_is_left_alone(cli, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    done = cli("adapter", "new", "other_pay", "--directory", tmp_path / "kept", "--json")
    assert (done.code, done.error["kind"]) == (2, "ConfigError")
    assert list((tmp_path / "kept").iterdir()) == []
