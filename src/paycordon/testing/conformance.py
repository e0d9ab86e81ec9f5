"""The conformance kit for gateway adapters: one class to subclass, nothing to skip."""

# ruff: noqa: S101 - these are tests, and pytest rewrites their assertions
from __future__ import annotations

from typing import Any

import pytest

from paycordon.events import Mode
from paycordon.gateways import Gateway, GatewaySettings
from paycordon.testing.authenticity import AuthenticityConformance
from paycordon.testing.enforcement import (
    EnforcementConformance,
    FailureConformance,
    FenceConformance,
    SafetyConformance,
)
from paycordon.testing.harness import GatewayHarness
from paycordon.testing.meaning import MeaningConformance


class GatewayConformance(
    AuthenticityConformance,
    MeaningConformance,
    EnforcementConformance,
    FenceConformance,
    FailureConformance,
    SafetyConformance,
):
    """What every gateway adapter has to hold to.

    Subclass it as `Test…` and override the one fixture `harness`. What a gateway cannot do is said in the adapter's
    `capabilities`, where users read it too, and nowhere else.

    Raises:
        TypeError: a subclass redefines one of the kit's tests.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        redefined = sorted(name for name in vars(cls) if name.startswith("test_") and hasattr(GatewayConformance, name))
        if redefined:
            raise TypeError(
                f"`{redefined[0]}` belongs to the kit (declare what the gateway cannot do in `capabilities`)"
            )

    @pytest.fixture
    def harness(self) -> GatewayHarness:
        """Return the adapter with its simulator; override this."""
        raise NotImplementedError("override the fixture `harness` in the subclass of `GatewayConformance`")

    def test_the_harness_is_complete(self, harness: GatewayHarness) -> None:
        """The adapter states its facts, and the corpus has both what means something and what must not."""
        gateway = harness.gateway
        assert isinstance(gateway, Gateway)
        assert gateway.name
        assert issubclass(gateway.settings_type, GatewaySettings)
        assert isinstance(gateway.settings, gateway.settings_type), "`settings_type` is not the type of the settings"
        assert gateway.settings.mode is Mode.LIVE, "`build` ignores the mode"
        assert isinstance(harness.signs_time, bool)
        assert len(set(harness.secrets)) >= 3, "the kit needs three different secrets"
        means = [bool(recorded.means) for recorded in harness.corpus.values()]
        assert len(means) >= 3, "the corpus needs at least three statements"
        assert True in means, "the corpus has no statement that means something"
        assert False in means, "the corpus has no near miss, a statement that must yield nothing"
