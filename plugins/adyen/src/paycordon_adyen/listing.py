"""Transfers of a stretch of time, through all pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from paycordon.adapting.fields import Node
from paycordon_adyen.client import linked_pages


def transfers_of(transfers: Any, asked: Mapping[str, str], since: datetime, until: datetime) -> Iterator[Node]:
    """Yield the transfers that were made between two moments.

    Args:
        transfers: the SDK's interface.
        asked: what else Adyen is to look for.
        since: the first moment, UTC.
        until: the last one, UTC.

    Raises:
        RetryLater, Refused: they cannot be read.
    """
    window = {"createdSince": _in_query(since), "createdUntil": _in_query(until)}
    return linked_pages(
        lambda given: transfers.get_all_transfers(query_parameters=given),
        "data",
        "_links",
        "transfers",
        {**asked, **window},
    )


def _in_query(moment: datetime) -> str:
    # The SDK puts queries into addresses as they are: an offset's plus sign would arrive as a space.
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
