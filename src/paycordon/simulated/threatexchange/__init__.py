"""A simulator of ThreatExchange by the public description: descriptors, edits, deletions, reactions, updates.

One privacy group with several members. Members describe indicators; whoever follows `threat_updates` sees each
indicator, under an id of its own, with all that is described of it, and that it is to be deleted once nobody describes
it any more.
"""

from __future__ import annotations

from paycordon.simulated.threatexchange.server import ThreatExchangeSimulator

__all__ = ["ThreatExchangeSimulator"]
