from __future__ import annotations

import pytest

from paycordon.testing import GatewayConformance


class TestStripe(GatewayConformance):
    @pytest.fixture
    def harness(self, make_harness):
        return make_harness()
