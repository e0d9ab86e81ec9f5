"""For tests of adapters, checks and policies: conformance kit, frozen clock, synthetic events and merchants, simulator.

Needs pytest; nothing else in the package imports it.
"""

import pytest

# Before they are imported, so that the kit's own assertions explain themselves when they fail.
pytest.register_assert_rewrite(
    "paycordon.testing.authenticity",
    "paycordon.testing.conformance",
    "paycordon.testing.enforcement",
    "paycordon.testing.feeds",
    "paycordon.testing.meaning",
    "paycordon.testing.recipients",
    "paycordon.testing.scene",
    "paycordon.testing.secrecy",
)

from paycordon.portfolio import Label, Portfolio  # noqa: E402 - assertion rewriting comes first
from paycordon.testing.builders import make_event  # noqa: E402
from paycordon.testing.clock import NOON, FrozenClock  # noqa: E402
from paycordon.testing.conformance import GatewayConformance  # noqa: E402
from paycordon.testing.faults import Fault, FaultPlan  # noqa: E402
from paycordon.testing.feeds import FeedConformance, FeedHarness, Stage  # noqa: E402
from paycordon.testing.harness import GatewayHarness, Recorded, Statement  # noqa: E402
from paycordon.testing.planned import PlannedFaults  # noqa: E402
from paycordon.testing.recipients import RecipientConformance, RecipientHarness  # noqa: E402
from paycordon.testing.simulator import Answer, HttpSimulator, Request  # noqa: E402

__all__ = [
    "NOON",
    "Answer",
    "Fault",
    "FaultPlan",
    "FeedConformance",
    "FeedHarness",
    "FrozenClock",
    "GatewayConformance",
    "GatewayHarness",
    "HttpSimulator",
    "Label",
    "PlannedFaults",
    "Portfolio",
    "RecipientConformance",
    "RecipientHarness",
    "Recorded",
    "Request",
    "Stage",
    "Statement",
    "make_event",
]
