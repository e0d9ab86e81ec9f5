from __future__ import annotations

import pytest

from paycordon.testing import GatewayConformance
from paycordon.testing.authenticity import AuthenticityConformance
from paycordon.testing.meaning import MeaningConformance


class TestAdyen(GatewayConformance):
    """With the platform's webhooks, signed over their whole body."""

    @pytest.fixture
    def harness(self, make_harness):
        return make_harness()


class TestNotifications(AuthenticityConformance, MeaningConformance):
    """With notifications of payments and disputes, signed item by item; what is enforced is the same adapter."""

    @pytest.fixture
    def harness(self, make_notification_harness):
        return make_notification_harness()
