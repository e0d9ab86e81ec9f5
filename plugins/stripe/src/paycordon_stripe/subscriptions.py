"""Which events to subscribe which endpoint to, for the README: `python -m paycordon_stripe.subscriptions`."""

from __future__ import annotations

from paycordon.adapting import tables
from paycordon_stripe.translate import TRANSLATED_TYPES
from paycordon_stripe.translate_thin import THIN_TYPES

_MODULE = "paycordon_stripe.subscriptions"
_OF_PLATFORM = ("charge.", "radar.", "refund.", "review.", "transfer.")
BEGIN, END = tables.begin(_MODULE), tables.END

CONNECT = tuple(each for each in TRANSLATED_TYPES if not each.startswith("transfer."))
"""Snapshots of what happens at connected accounts."""
ACCOUNT = tuple(each for each in TRANSLATED_TYPES if each.startswith(_OF_PLATFORM))
"""Snapshots of what happens at the platform on behalf of connected accounts."""
THIN = THIN_TYPES
"""Thin events of Accounts v2, which have no snapshots."""


def table() -> str:
    """Return the endpoints and their types in Markdown."""
    rows = (
        ("events on connected accounts (Connect)", "snapshot", CONNECT),
        ("events on your account", "snapshot", ACCOUNT),
        ("events on connected accounts, if you make accounts by v2", "thin", THIN),
    )
    lines = [f"| {where} | {style} | {', '.join(f'`{each}`' for each in types)} |" for where, style, types in rows]
    return "\n".join((BEGIN, "", "| endpoint for | payload | types |", "| --- | --- | --- |", *lines, "", END))


if __name__ == "__main__":
    print(table())  # noqa: T201  # it is what this is run for
