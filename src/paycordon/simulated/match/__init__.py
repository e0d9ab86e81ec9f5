"""A simulator of Mastercard's list of terminated merchants (MATCH), by its public description, version 3.

Requests are signed by OAuth 1.0a with a body hash and RSA-SHA256, and the signature is verified for real. What is in
the list is compared field by field; an inquiry goes on being compared for 360 days with what other acquirers add. The
description names no call that takes a merchant off the list: its lister does that in the service's own application,
here by `remove`. What the description leaves open is said where it is decided.
"""

from __future__ import annotations

from paycordon.simulated.match.server import MatchSimulator

__all__ = ["MatchSimulator"]
