"""What `examples/` holds works, and examples/README.md can be followed to the letter."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from paycordon.cli import build
from paycordon.errors import ConfigError
from paycordon.plugins import Plugins

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
IDS = re.compile(r"\b(dec|hold)_[0-9a-f]+")


def run(*command: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *command], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert done.stderr == ""
    return done.stdout


def block(language: str, part: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", part, re.DOTALL)
    return str(found)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_quickstart_prints_what_the_page_shows(tmp_path: Path) -> None:
    pytest.importorskip("paycordon_stripe")
    printed = run(str(EXAMPLES / "quickstart.py"), cwd=tmp_path)

    assert IDS.sub(r"\1_…", printed) == IDS.sub(r"\1_…", block("text", section("Run the quickstart")))
    assert list(tmp_path.iterdir()) == []


@dataclass
class Reader:
    """Somebody who does what the page says, in a directory of their own."""

    directory: Path
    ids: dict[str, str] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)

    def follow(self, text: str) -> None:
        """Write each file under its name, and run each command line, in the order of the page."""
        before = 0
        for found in re.finditer(r"```(\w+)\n(.*?)```", text, re.DOTALL):
            language, content = found[1], found[2]
            if language == "sh":
                for line in content.splitlines():
                    self.run(line)
            else:
                self.write(text[before : found.start()], content)
            before = found.end()

    def write(self, said: str, content: str) -> None:
        name = re.findall(r"(?:\bas|Add to)\s+`([\w./-]+)`", said)[-1]
        file = self.directory / name
        added = file.read_text(encoding="utf-8") if name == "paycordon.yaml" else ""
        file.write_text(f"{added}\n{content}" if added else content, encoding="utf-8")

    def run(self, line: str) -> str:
        """Run a command line: what is of Paycordon in this process, which has imported it, all else by the shell."""
        for name, value in self.ids.items():
            line = line.replace(name, value)
        asked, _, comment = line.partition("  #")
        words = shlex.split(asked)
        if words[0] == "paycordon":
            code, out, err = self.paycordon(words[1:])
        else:
            done = subprocess.run(
                ["/bin/sh", "-c", line], cwd=self.directory, capture_output=True, text=True, check=False, timeout=120
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        assert code == (1 if "exits with 1" in comment else 0), f"{line}\n{out}{err}"
        self.printed[asked.strip()] = out
        self.learn()
        return out

    def paycordon(self, words: list[str]) -> tuple[int, str, str]:
        file = words.pop() if words[-2:-1] == [">"] else None
        if file is not None:
            words.pop()
        done = CliRunner().invoke(build(words), words)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        if file is None:
            return done.exit_code, done.stdout, done.stderr
        (self.directory / file).write_text(done.stdout, encoding="utf-8")
        return done.exit_code, "", done.stderr

    def learn(self) -> None:
        """Take the ids that the page calls DECISION, HOLD and DIGEST from what was printed last."""
        said = "".join(self.printed.values())
        patterns = {
            "DECISION": r"\bdec_[0-9a-f]+",
            "HOLD": r"\bhold_[0-9a-f]+",
            "DIGEST": r"policy set +([0-9a-f]{64})",
        }
        for name, pattern in patterns.items():
            if found := re.findall(pattern, said):
                self.ids[name] = found[-1]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    command = tmp_path / "bin" / "python"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -W error "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("PAYCORDON_CONFIG", raising=False)
    return Reader(tmp_path)


def test_the_page_leads_from_a_sentence_to_an_enforced_rule(reader: Reader) -> None:
    pytest.importorskip("duckdb")
    reader.follow(section("From a sentence to an enforced rule"))

    printed = reader.printed
    assert printed["paycordon policy lint"] == "3 files, no issues, 1 ignored with a reason\n"
    assert "5 cases, none failed" in printed["paycordon policy test --gaps"]
    assert re.search(r"review → hold +7 +7 ", printed["paycordon policy status"])
    tried = printed["paycordon policy backtest policies/changed-account.yaml --within-days 14"]
    assert re.search(r"held +7 +7 .*\n +disputed +2 +2 .*\n +refunded +0 .*\n +clean +5 +5 ", tried)
    (change,) = (text for line, text in printed.items() if " diff " in line)
    assert re.search(r"newly released +3 +3 .*\n +disputed +0 ", change)
    assert "changed-account/first-payout-to-changed-account → hold" in printed["paycordon screen try.jsonl"]
    (why,) = (text for line, text in printed.items() if " explain " in line)
    assert "what would have had to differ for a milder outcome" in why
    assert "alice (author)" in printed["paycordon policy history"]
    assert "bob (approver)" in printed["paycordon policy history"]
    assert json.loads(reader.run("paycordon hold list --json")) == []
    assert "mode: shadow" in (reader.directory / "policies" / "bindings.yaml").read_text(encoding="utf-8")
    assert "the log is whole" in printed["paycordon log verify"]


@pytest.fixture
def custom_check() -> ModuleType:
    spec = spec_from_file_location("custom_check", EXAMPLES / "custom_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Its classes look their annotations up there.
    sys.modules["custom_check"] = module
    spec.loader.exec_module(module)
    return module


def test_the_check_holds_a_large_first_payout_only(tmp_path: Path) -> None:
    assert run(str(EXAMPLES / "custom_check.py"), cwd=tmp_path).splitlines() == [
        "merchant-1, 90 EUR: allow (nothing found)",
        "merchant-1, 4,000 EUR: allow (nothing found)",
        "merchant-2, 4,000 EUR: hold (payout.large_first)",
    ]


def test_the_check_takes_its_settings(custom_check: ModuleType) -> None:
    settings = custom_check.LargeFirstPayoutSettings(limit_minor=5_000_00)
    plugins = Plugins({"our_checks": custom_check}, {"large_first_payout": settings})

    assert plugins.checks["large_first_payout"].settings.limit_minor == 5_000_00
    with pytest.raises(ConfigError, match="there is no check `large_firstpayout`"):
        Plugins({"our_checks": custom_check}, {"large_firstpayout": settings})


def test_the_check_is_found_by_its_entry_point(custom_check: ModuleType, tmp_path: Path) -> None:
    # What pip writes for the entry point that the example's docstring shows.
    (entry,) = re.findall(r"\[project\.entry-points\.paycordon\]\n\s+(\w+) = \"(\w+)\"", custom_check.__doc__ or "")
    info = tmp_path / "our_checks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-checks\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[paycordon]\n{entry[0]} = {entry[1]}\n", encoding="utf-8")
    (tmp_path / "custom_check.py").write_bytes((EXAMPLES / "custom_check.py").read_bytes())

    (found,) = json.loads(run("-m", "paycordon", "plugins", "large_first_payout", "--json", cwd=tmp_path))["checks"]

    assert found["emits"] == dict(custom_check.LargeFirstPayout.emits)
    assert {setting["name"]: setting["default"] for setting in found["settings"]} == {
        "limit_minor": 1_000_00,
        "currency": "EUR",
    }
