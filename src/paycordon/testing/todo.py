"""A pytest plugin for scaffolded adapters: lists what is to be done, in order, at the end of a run."""

from __future__ import annotations

import re

import pytest

_TO_DO = re.compile(r"to do (\d+): (.+)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each thing that a failed test said is to be done, once."""
    reports = [each for outcome in ("failed", "error") for each in terminalreporter.stats.get(outcome, [])]
    crashes = [getattr(getattr(each.longrepr, "reprcrash", None), "message", "") for each in reports]
    found = {int(said[1]): said[2] for crash in crashes if (said := _TO_DO.search(crash))}
    if found:
        terminalreporter.section("to do")
        for number, what in sorted(found.items()):
            terminalreporter.write_line(f"{number}. {what}")
