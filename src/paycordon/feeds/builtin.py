"""The built-in formats of feeds, registered through the same hook as everybody's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from paycordon.feeds.contract import Feed
from paycordon.hookspecs import hookimpl


@hookimpl
def register_feeds() -> Iterable[type[Feed[Any]]]:
    """Register them."""
    from paycordon.feeds.bundle import BundleFeed
    from paycordon.feeds.csvfile import CsvFeed
    from paycordon.feeds.ftm import FtmFeed
    from paycordon.feeds.misp import MispFeed
    from paycordon.feeds.taxii import TaxiiFeed
    from paycordon.feeds.threatexchange import ThreatExchangeFeed

    return [BundleFeed, CsvFeed, FtmFeed, MispFeed, TaxiiFeed, ThreatExchangeFeed]
