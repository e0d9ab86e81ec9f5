"""What the pages show is true: programs run, policies and configurations load, commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from paycordon.cli import build
from paycordon.config import load_config
from paycordon.documents import document_from, validate
from paycordon.errors import PolicyError
from paycordon.exchange.drafts import Draft
from paycordon.plugins import load, open_gateways, open_recipients
from paycordon.policy import lint, load_policy
from paycordon.policy.bindings import BindingsDocument
from paycordon.policy.cases import CasesDocument
from paycordon.policy.keyfiles import make as make_key

pytest.importorskip("paycordon_stripe")
ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "examples" / "README.md",
    ROOT / "plugins" / "README.md",
    *sorted(ROOT.glob("plugins/*/README.md")),
]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->$")
KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(source):
        text = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
        runs = NOT_RUN.search(source[: match.start()].rstrip()) is None
        found.append(Block(page, source.count("\n", 0, match.start()) + 1, match["language"], text, runs))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
YAML = [block for block in BLOCKS if block.language == "yaml"]


def blocks(*languages: str) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


@pytest.mark.parametrize("block", [p for p in blocks("python") if p.values[0].runs])
def test_a_program_runs(block: Block, tmp_path: Path) -> None:
    # As a reader would: in a process of its own, so that nothing another test imported or left behind helps.
    (tmp_path / "shown.py").write_text(with_what_the_page_takes_for_granted(block), encoding="utf-8")
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "\ndef test_" in block.text else []
    done = subprocess.run(
        [sys.executable, "-W", "error", *tests, "shown.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr or done.stdout


def with_what_the_page_takes_for_granted(block: Block) -> str:
    """The pages of adapters wrap a client and read a configuration that their readers already have."""
    if "adyen = guard(adyen," in block.text:
        made = "import Adyen\nadyen = Adyen.Adyen(xapikey='shown', platform='test')\n"
        return f"{made}from pathlib import Path\nfrom paycordon.deployment import create\ncreate(Path())\n{block.text}"
    if "client = guard(client," not in block.text:
        return block.text
    return (
        "import stripe\nfrom pathlib import Path\nfrom paycordon.deployment import create\n"
        "create(Path())\nclient = stripe.StripeClient('sk_test_shown')\n"
    ) + block.text


@pytest.mark.parametrize("block", [p for p in blocks("python") if not p.values[0].runs])
def test_what_does_not_run_can_at_least_be_read_as_python(block: Block) -> None:
    lines = block.text.splitlines(keepends=True)
    inside = f"def f():\n{block.text}" if lines[0].startswith(" ") else block.text

    compile(inside, str(block), "exec")


@pytest.mark.parametrize("block", blocks("yaml"))
def test_a_policy_or_a_configuration_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(block.text, encoding="utf-8")
    if re.search(r"^policy:", block.text, re.MULTILINE):
        load_policy(path)
        codes = {code for check in load(_configuration(tmp_path)).checks.values() for code in check.emits}
        assert lint([path], codes) == []
    elif found := re.search(r"^(bindings|cases):", block.text, re.MULTILINE):
        model = BindingsDocument if found[1] == "bindings" else CasesDocument
        validate(model, document_from(block.text.encode(), path, error=PolicyError), error=PolicyError)
    elif block.text.startswith("recipient:"):
        validate(Draft, document_from(block.text.encode(), path))
    elif block.text.startswith("approvals:"):
        for name in ("alice", "bob"):
            (tmp_path / ".paycordon").mkdir(exist_ok=True)
            make_key(name, tmp_path / ".paycordon")
        assert set(_configuration(tmp_path, block.text).approvals.signers) == {"alice", "bob"}
    elif re.search(r"^(store|gateways):", block.text, re.MULTILINE):
        config = _configuration(tmp_path, block.text)
        open_gateways(config, load(config))
    elif re.search(r"^\s*- id:", block.text):
        path.write_text("policy: shown\nversion: 1\non_error: hold\nrules:\n" + block.text, encoding="utf-8")
        load_policy(path)
    else:
        config = _configuration(tmp_path, block.text)
        open_recipients(config, load(config))


def _configuration(directory: Path, text: str = "") -> Any:
    """Load a configuration, or a part of one completed with what every configuration needs."""
    needed = {
        "identifier_keys": "identifier_keys: {current: k1, keys: {k1: env:SHOWN_KEY}}\n",
        "policies": "policies: [policies]\n",
    }
    rest = "".join(line for key, line in needed.items() if not re.search(rf"^{key}:", text, re.MULTILINE))
    (directory / "policies").mkdir(exist_ok=True)
    (directory / "policies" / "any.yaml").write_text(ANY_POLICY, encoding="utf-8")
    path = directory / "paycordon.yaml"
    path.write_text(text + rest, encoding="utf-8")
    return load_config(path, {"SHOWN_KEY": KEY, **dict.fromkeys(re.findall(r"env:(\w+)", text), KEY)})


ANY_POLICY = """\
policy: any
version: 1
on_error: hold
rules:
  - {id: any, on: [payout.requested], when: event.payout.amount.minor > 1, then: review}
"""


def commands_in(block: Block) -> list[str]:
    """The `paycordon …` calls of a shell block: continued lines joined, prompts, pipes and comments taken off."""
    text = block.text.replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        for part in re.split(r"&&|\|\||[|;]", re.sub(r"(^|\s)#.*", "", line.removeprefix("$ "))):
            if match := re.match(r"^\s*(?:\S*/)?paycordon(?:\s+(.*))?$", part):
                found.append(match[1] or "")
    return found


SHELL = [
    pytest.param(command, id=f"{block} {command}"[:90])
    for block in BLOCKS
    if block.language in {"sh", "console"}
    for command in commands_in(block)
]


@pytest.mark.parametrize("arguments", SHELL)
def test_a_command_line_names_what_exists(arguments: str) -> None:
    root = typer.main.get_command(build())
    words = shlex.split(re.sub(r"<\s*\S+|>\s*\S+", "", arguments))

    with root.make_context("paycordon", list(words), resilient_parsing=False) as context:
        command: Any = root
        while hasattr(command, "commands"):
            name = words.pop(0)
            assert name in command.commands, f"there is no command `{name}`"
            command = command.commands[name]
        command.make_context(command.name, list(words), parent=context)


def test_the_pages_have_something_of_each_kind() -> None:
    assert {"python", "sh", "yaml"} <= {block.language for block in BLOCKS}
    assert SHELL
    assert any("policy:" in block.text for block in YAML)
    assert any("gateways:" in block.text for block in YAML)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []
