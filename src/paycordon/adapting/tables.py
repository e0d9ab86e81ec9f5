"""The tables of what an adapter can do, for its README, written from the code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paycordon.gateways import Act, Gateway, Grade

END = "<!-- end -->"


def begin(module: str) -> str:
    """Return the line that a README has before the tables of an adapter's module."""
    return f"<!-- written by `python -m {module}` -->"


def table(module: str, adapter: type[Gateway[Any]], called: str) -> str:
    """Return the restrictions, then the acts that people take, as two tables in Markdown.

    Args:
        module: what prints the tables.
        adapter: whose capabilities and acts they are.
        called: the gateway's name as it is written.
    """
    restrictions = [
        (f"`{name}`", support.grade.value, support.how, "exactly", support.clock or "never", support.limits)
        for name, support in adapter.capabilities.items()
    ]
    acts = [
        (
            f"`{name}`",
            act.support.grade.value,
            act.support.how,
            _undone_by(name, act),
            _people(act),
            act.support.limits,
        )
        for name, act in adapter.acts.items()
    ]
    ended = f"ended by {called}"
    return "\n".join(
        (
            begin(module),
            "",
            *_rows(("restriction", "grade", "how", "undone", ended, "what it does not stop"), restrictions),
            "",
            *_rows(("act of people", "grade", "how", "undone by", "people", "what it cannot do"), acts),
            "",
            END,
        )
    )


def _undone_by(name: str, act: Act) -> str:
    if act.support.grade is Grade.IMPOSSIBLE:
        return ""
    if act.undone_by is None:
        return "nothing"
    return "itself" if act.undone_by == name else f"`{act.undone_by}`"


def _people(act: Act) -> str:
    if act.support.grade is Grade.IMPOSSIBLE:
        return ""
    return "two" if act.two_people else "one"


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    for row in (head, tuple("---" for _ in head), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
