"""Lint, types, layers and shape: what reviewers would otherwise have to look for."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "src", *sorted((ROOT / "plugins").glob("*/src")), ROOT / "examples"]


def run(*command: str) -> None:
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint_is_clean() -> None:
    run("ruff", "check", "--no-cache", ".")


def test_format_is_clean() -> None:
    run("ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.timeout(300)
def test_types_are_strict() -> None:
    run("mypy")


def test_imports_follow_the_contracts() -> None:
    script = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def python_files() -> Iterator[Path]:
    for source in SOURCES:
        yield from sorted(source.rglob("*.py"))


def test_no_file_outgrows_a_reader() -> None:
    long = {str(p.relative_to(ROOT)): n for p in python_files() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {path.stem for path in python_files()}
    assert not names & {"utils", "util", "helpers", "common", "manager", "misc"}


def test_plugins_use_only_public_names_of_the_core() -> None:
    private = []
    for path in sorted((ROOT / "plugins").glob("*/src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("paycordon."):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                private += [f"{path.name}: {name}" for name in names if name.startswith("_")]
    assert private == []


def test_the_visible_top_level_is_six_names() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: what is installed by hand cannot be told from what belongs here")
    top = {name.split("/")[0] for name in listed.stdout.splitlines()}
    visible = {name for name in top if not name.startswith(".")}
    assert visible <= {"pyproject.toml", "README.md", "LICENSE", "src", "plugins", "tests", "examples"}


def test_all_distributions_register_their_entry_points() -> None:
    assert {"checks", "stripe", "adyen"} <= {point.name for point in entry_points(group="paycordon")}


def test_pins_name_no_address() -> None:
    pins = (ROOT / ".ci" / "constraints.txt").read_text()
    assert "==" in pins
    assert "://" not in pins
