"""Tables of the pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from paycordon import checks as builtin_checks
from paycordon.cli import COMMANDS, GROUPS
from paycordon.plugins import Plugins

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
ADAPTERS = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
STRIPE = (ROOT / "plugins" / "stripe" / "README.md").read_text(encoding="utf-8")
ADYEN = (ROOT / "plugins" / "adyen" / "README.md").read_text(encoding="utf-8")
CHECKS = Plugins({"checks": builtin_checks}).checks


def row(page: str, first: str) -> list[str]:
    """The cells of the one table row that begins with a name in backticks."""
    rows = [line for line in page.splitlines() if line.startswith(f"| `{first}`")]
    assert len(rows) == 1, f"`{first}` has {len(rows)} rows"
    return [cell.strip() for cell in rows[0].strip("|").split("|")]


@pytest.mark.parametrize("command", [name for name, _, _ in COMMANDS])
def test_every_command_is_on_a_page(command: str) -> None:
    assert re.search(rf"`paycordon {command}\b", README + EXAMPLES)


def test_no_page_names_a_command_that_does_not_exist() -> None:
    known = {name for name, _, _ in COMMANDS} | set(GROUPS)
    named = re.findall(r"`paycordon ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", README + EXAMPLES + ADAPTERS + STRIPE + ADYEN)
    called = {f"{first} {second}" if first in GROUPS and second else first for first, second in named}

    assert called - known == set()


def shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "none"
    return "none" if value is None else str(value)


def settings_of(model: type[BaseModel]) -> str:
    return ", ".join(f"`{name}` ({shown(field.default)})" for name, field in model.model_fields.items())


@pytest.mark.parametrize("check", CHECKS)
def test_every_built_in_check_has_its_row_with_codes_and_settings(check: str) -> None:
    _, codes, stages, settings = row(EXAMPLES, check)

    kind = CHECKS[check]
    assert codes == ", ".join(f"`{code}`" for code in kind.emits)
    hooks = {"merchant": "screen_merchant", "payout": "screen_payout", "dispute": "screen_dispute"}
    assert stages == ", ".join(stage for stage, hook in hooks.items() if hasattr(kind, hook))
    assert settings == settings_of(kind.settings_type)


def test_the_table_of_checks_names_no_other() -> None:
    table = EXAMPLES.split("| check | ")[1].split("\n\n")[0]

    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(CHECKS)


def between(page: str, begin: str, end: str) -> str:
    """Return what stands between two marks, with them; the same end may close something else before."""
    start = page.index(begin)
    return page[start : page.index(end, start) + len(end)]


def test_the_adyen_page_lists_the_capabilities_of_the_adapter() -> None:
    written = pytest.importorskip("paycordon_adyen.capabilities")

    found = between(ADYEN, written.BEGIN, written.END)
    assert found == written.table(), "write it anew with `python -m paycordon_adyen.capabilities`"


def test_the_stripe_page_lists_the_capabilities_of_the_adapter() -> None:
    written = pytest.importorskip("paycordon_stripe.capabilities")
    clock = pytest.importorskip("paycordon_stripe.gateway").StripeGateway.capabilities["blocked"].clock

    found = between(STRIPE, written.BEGIN, written.END)
    assert found == written.table(), "write it anew with `python -m paycordon_stripe.capabilities`"
    for time in re.findall(r"\d+ (?:days|years)", clock):
        assert time in STRIPE.replace(found, "")
