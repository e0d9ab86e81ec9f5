"""The table of what this adapter can do, for its README: `python -m paycordon_adyen.capabilities`."""

from __future__ import annotations

from paycordon.adapting import tables
from paycordon_adyen.gateway import AdyenGateway

BEGIN = tables.begin("paycordon_adyen.capabilities")
END = tables.END


def table() -> str:
    """Return the restrictions, then the acts that people take, as two tables in Markdown."""
    return tables.table("paycordon_adyen.capabilities", AdyenGateway, "Adyen")


if __name__ == "__main__":
    print(table())  # noqa: T201  # it is what this is run for
