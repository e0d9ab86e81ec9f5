"""What `examples/` holds works, and examples/README.md can be followed to the letter."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

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


def test_the_tutorial_leads_from_a_sentence_to_a_released_hold(tmp_path: Path) -> None:
    text = section("From a sentence to a rule")
    steps = [line for shell in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in shell.splitlines()]
    make, look, check, try_, list_, show, release = (shlex.split(step)[1:] for step in steps)

    def paycordon(arguments: list[str], code: int = 0) -> str:
        return run("-m", "paycordon", *arguments, cwd=tmp_path, code=code)

    paycordon(make)
    assert "payout.destination_changed" in paycordon(look)
    (tmp_path / "policies" / "changed-account.yaml").write_text(block("yaml", text), encoding="utf-8")
    assert paycordon(check) == "2 files, no issues, 1 ignored with a reason\n"
    (tmp_path / "try.jsonl").write_text(block("json", text), encoding="utf-8")
    decisions = [json.loads(line) for line in paycordon([*try_, "--json"], code=1).splitlines()]
    assert [decision["outcome"] for decision in decisions] == ["allow", "hold"]
    assert decisions[1]["matches"][0]["rule"] == "payout-to-changed-account"
    (hold,) = json.loads(paycordon([*list_, "--json"]))
    assert hold["rule"] == "changed-account/payout-to-changed-account"
    assert "payout.destination_changed" in paycordon([word.replace("HOLD", hold["id"]) for word in show])
    paycordon([word.replace("HOLD", hold["id"]) for word in release])
    assert json.loads(paycordon([*list_, "--json"])) == []


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
