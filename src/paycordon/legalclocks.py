"""Deadlines that laws and card networks set, as a catalogue of parameters to choose from.

None runs unless the configuration names it: which of them bind a facilitator depends on where it is licensed and on its
contracts. The numbers are starting points to be confirmed by counsel, each with where it comes from.

What is due again and again whatever is held (monthly reports to a network, the refresh of a feed) is no deadline of a
hold or a case, and is not here. By when a merchant hears the reasons is `notices.within`; how long an authority's
request counts is `directives.longest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StartsWith(StrEnum):
    """What makes a legal clock run: any hold, a block, or the opening of a case."""

    HOLD = "hold"
    BLOCK = "block"
    CASE = "case"


@dataclass(frozen=True, slots=True)
class LegalClock:
    """One deadline: what starts it, how long it is (see `paycordon.spans`), in which calendar, and its source."""

    on: StartsWith
    after: str
    source: str
    calendar: str = "US"
    zone: str = "UTC"


CATALOGUE = {
    "us_sar": LegalClock(StartsWith.CASE, "30d", "FinCEN: a report within 30 days of detecting the facts"),
    "us_sar_no_suspect": LegalClock(StartsWith.CASE, "60d", "FinCEN: 60 days where no suspect is identified"),
    "us_sar_continuing": LegalClock(StartsWith.CASE, "120d", "FinCEN: 120 days for continuing activity"),
    "us_preservation": LegalClock(StartsWith.CASE, "365d", "REPORT Act: what was reported is preserved for a year"),
    "au_smr": LegalClock(
        StartsWith.CASE, "3 business days", "AUSTRAC: a suspicious matter report", "AU", "Australia/Sydney"
    ),
    "au_smr_terrorism": LegalClock(
        StartsWith.CASE, "24h", "AUSTRAC: a suspicious matter report about the financing of terrorism", "AU"
    ),
    "gb_daml": LegalClock(
        StartsWith.HOLD, "7 business days", "UK: notice period of a defence request", "GB", "Europe/London"
    ),
    "gb_moratorium": LegalClock(
        StartsWith.HOLD, "31d", "UK: moratorium after a refused defence request", "GB", "Europe/London"
    ),
    "gb_termination": LegalClock(
        StartsWith.BLOCK, "90d", "UK: notice of the end of a payment contract, unless an exception", "GB"
    ),
    "eu_p2b_termination": LegalClock(StartsWith.BLOCK, "30d", "EU 2019/1150 Art. 4: reasons before a termination"),
    "visa_listing": LegalClock(StartsWith.BLOCK, "1 business day", "VMSS: listing after a termination"),
    "mastercard_listing": LegalClock(StartsWith.BLOCK, "5d", "MATCH: listing after a termination; by contract"),
    "mastercard_watch": LegalClock(StartsWith.BLOCK, "360d", "MATCH: retroactive alerts for 360 days"),
    "mastercard_listing_ends": LegalClock(StartsWith.BLOCK, "1826d", "MATCH: a listing ends after five years"),
    "mmp_escalate": LegalClock(StartsWith.CASE, "5 business days", "Mastercard MMP: escalation of an alert"),
    "mmp_resolve": LegalClock(StartsWith.CASE, "15d", "Mastercard MMP: resolution of an alert"),
    "adult_complaint": LegalClock(StartsWith.CASE, "7 business days", "Mastercard: complaints about adult content"),
}
