"""Merchants that were seen with the same identifiers, as a graph: what it is, its picture, and its parts."""

from __future__ import annotations

from paycordon.links.model import SHARED_KINDS, Hub, Member, Network, Reach, Step, Tie

__all__ = ["SHARED_KINDS", "Hub", "Member", "Network", "Reach", "Step", "Tie"]
