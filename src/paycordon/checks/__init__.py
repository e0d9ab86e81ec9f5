"""The built-in checks, registered through the same hooks as everybody's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paycordon.checks.base import Check, CheckSettings
from paycordon.hookspecs import hookimpl

__all__ = ["Check", "CheckSettings", "register_checks"]


@hookimpl
def register_checks() -> Iterable[type[Check[Any]]]:
    """Register the eight built-in checks."""
    from paycordon.checks.dispute_ratio import DisputeRatio
    from paycordon.checks.indicator_match import IndicatorMatch
    from paycordon.checks.inquiry import InquiryMade
    from paycordon.checks.mcc_controls import MccControls
    from paycordon.checks.name_match import NameMatch
    from paycordon.checks.payout_destination_changed import PayoutDestinationChanged
    from paycordon.checks.payout_velocity import PayoutVelocity
    from paycordon.checks.shared_identifier import SharedIdentifier

    return [
        DisputeRatio,
        IndicatorMatch,
        InquiryMade,
        MccControls,
        NameMatch,
        PayoutDestinationChanged,
        PayoutVelocity,
        SharedIdentifier,
    ]
