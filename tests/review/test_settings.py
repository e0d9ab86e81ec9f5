"""How long proposals and snoozes last is said in the configuration, with defaults."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from paycordon.sections import ReviewSection


def test_defaults_and_what_is_written() -> None:
    usual = ReviewSection()
    lengths = [each.length.days for each in (usual.proposal, usual.longest_snooze, usual.upheld)]
    assert lengths == [7, 90, 30]
    assert ReviewSection.model_validate({"proposal": "12h"}).proposal.length == timedelta(hours=12)
    with pytest.raises(ValidationError):
        ReviewSection.model_validate({"proposal": "0d"})
