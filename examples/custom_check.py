"""A check of your own: a merchant's first payout is unusually large.

    python examples/custom_check.py

Any module with a `register_checks` hook is a plugin. In a deployment it is installed as a package that names the
module in the entry point group `paycordon`; Paycordon then finds it at the start, and `paycordon plugins` shows it::

    [project.entry-points.paycordon]
    our_checks = "custom_check"

Its settings stand in `paycordon.yaml`, and a missing plugin stops the start if you require it::

    required: [our_checks]
    checks:
      large_first_payout: {limit_minor: 250000, currency: EUR}

Without an installation, in tests and in programs that put an engine together themselves, pass the module to `Plugins`,
as `main` does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, ClassVar

from pydantic import Field

from paycordon import (
    Aggregate,
    Check,
    CheckSettings,
    Context,
    Cordon,
    Event,
    EventType,
    Finding,
    checks,
    hookimpl,
)
from paycordon.aggregates import Function
from paycordon.config import load_config
from paycordon.deployment import create
from paycordon.plugins import Plugins


class LargeFirstPayoutSettings(CheckSettings):
    """What is large. Amounts of another currency are not compared."""

    limit_minor: Annotated[int, Field(ge=1, description="in minor units, such as cents")] = 1_000_00
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"


class LargeFirstPayout(Check[LargeFirstPayoutSettings]):
    """The first payout a merchant ever asks for is above the limit.

    This sentence is what `paycordon plugins` shows to your risk team.
    """

    id: ClassVar[str] = "large_first_payout"
    emits: ClassVar[Mapping[str, str]] = {"payout.large_first": "the merchant's first payout is above the limit"}
    settings_type = LargeFirstPayoutSettings

    def aggregates(self) -> Mapping[str, Aggregate]:
        """Ask for the number of payouts, this one included; a check reads no database, it is given what it asks for."""
        of = EventType.PAYOUT_REQUESTED
        return {"payouts": Aggregate(function=Function.COUNT, of=of, window=timedelta(days=180))}

    @hookimpl
    def screen_payout(self, event: Event, context: Context) -> Iterable[Finding]:
        """Report the first payout if it is too large; take only the arguments you need."""
        amount = event.amount
        if event.type != EventType.PAYOUT_REQUESTED or amount is None or amount.currency != self.settings.currency:
            return
        if context.number("payouts") == 1 and amount.minor > self.settings.limit_minor:
            # The evidence is what was compared, so that a person can follow the conclusion.
            evidence = {"amount": amount.minor, "limit": self.settings.limit_minor, "currency": amount.currency}
            yield Finding(check=self.id, code="payout.large_first", confidence=0.5, evidence=evidence)


@hookimpl
def register_checks() -> Iterable[type[Check[Any]]]:
    """Bring the check; Paycordon makes one of it with its settings."""
    return [LargeFirstPayout]


# A check only finds. What follows from it is the policy's.
POLICY = """
policy: first-payouts
version: 1
on_error: review
rules:
  - id: large-first-payout
    on: [payout.requested]
    when: findings.exists(f, f.code == "payout.large_first")
    then: hold
    merchant_reason: additional_information_required
    references: ["your own risk policy"]
"""


def main() -> None:
    with TemporaryDirectory() as directory:
        create(Path(directory))
        Path(directory, "policies", "first-payouts.yaml").write_text(POLICY, encoding="utf-8")
        cordon = with_this_check(Path(directory, "paycordon.yaml"))
        try:
            for merchant, minor in (("merchant-1", 90_00), ("merchant-1", 4_000_00), ("merchant-2", 4_000_00)):
                decision = cordon.screen(payout(merchant, minor))
                print(f"{merchant}, {minor / 100:,.0f} EUR: {decision.outcome} ({codes(decision.findings)})")
        finally:
            cordon.close()


def with_this_check(path: Path) -> Cordon:
    """Put an engine together whose plugins are the built-in checks and this module."""
    plugins = Plugins({"checks": checks, "our_checks": sys.modules[__name__]})
    return Cordon.from_loaded(load_config(path, os.environ), plugins)


def payout(merchant: str, minor: int) -> Event:
    return Event.model_validate(
        {
            "id": f"payout of {minor} to {merchant}",
            "type": "payout.requested",
            "occurred_at": datetime.now(UTC),
            "gateway": "stripe",
            "instance": "stripe_eu",
            "account": {"id": f"acct_{merchant}"},
            "merchant": {"id": merchant},
            "payout": {"amount": {"minor": minor, "currency": "EUR"}},
        }
    )


def codes(findings: Iterable[Finding]) -> str:
    return ", ".join(finding.code for finding in findings) or "nothing found"


if __name__ == "__main__":
    main()
