"""The table of what this adapter can do, for its README: `python -m paycordon_stripe.capabilities`."""

from __future__ import annotations

from collections.abc import Iterable

from paycordon.gateways import Act, Grade
from paycordon_stripe.gateway import StripeGateway

BEGIN = "<!-- written by `python -m paycordon_stripe.capabilities` -->"
END = "<!-- end -->"


def table() -> str:
    """Return the restrictions, then the acts that people take, as two tables in Markdown."""
    restrictions = [
        (f"`{name}`", support.grade.value, support.how, "exactly", support.clock or "never", support.limits)
        for name, support in StripeGateway.capabilities.items()
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
        for name, act in StripeGateway.acts.items()
    ]
    return "\n".join(
        (
            BEGIN,
            "",
            *_rows(("restriction", "grade", "how", "undone", "ended by Stripe", "what it does not stop"), restrictions),
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


if __name__ == "__main__":
    print(table())  # noqa: T201  # it is what this is run for
