"""An event, a finding, and policies from a few lines of rules."""

from datetime import UTC, datetime, timedelta

import pytest

from paycordon.events import Account, Event, Identifier, Money, Payout
from paycordon.policy import PolicySet
from paycordon.policy.load import policy_from

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def event():
    return Event(
        id="evt_1",
        type="payout.requested",
        occurred_at=NOW,
        gateway="stripe",
        instance="stripe_eu",
        account=Account(id="acct_1", created_at=NOW - timedelta(days=3), country="DE"),
        payout=Payout(id="po_1", amount=Money(minor=30_000, currency="EUR"), destination="ba_1", method="instant"),
        identifiers=(Identifier(kind="iban", digest="d1", value="DE0000"),),
    )


@pytest.fixture
def policies():
    """Build a policy set of one policy named `p` from its `when` expressions; each holds."""

    def build(*expressions: str, head: str = "", name: str = "p", on_error: str = "review"):
        rules = "".join(
            f"  - id: r{index}\n    on: [payout.requested]\n    when: |-\n      "
            + expression.replace("\n", "\n      ")
            + f"\n    then: hold\n    merchant_reason: reason_{index}\n"
            for index, expression in enumerate(expressions)
        )
        text = f"policy: {name}\nversion: 1\non_error: {on_error}\n{head}rules:\n{rules}"
        return PolicySet([policy_from(text.encode(), "p.yaml")])

    return build
