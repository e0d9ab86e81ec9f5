"""Whatever a list answers, it is read or refused, and nothing else happens."""

from __future__ import annotations

import copy
import os
from random import Random
from typing import Any

from match_world import DIGESTER, OTHER, PARTY, inquiry, listed

from paycordon.errors import FeedRefused
from paycordon.exchange.asked import Asked, hit_of, indicators_of
from paycordon.exchange.match.documents import matches_of, part_of
from paycordon.screening import utc_now

ROUNDS = int(os.environ.get("PAYCORDON_FUZZ_ROUNDS", "400"))
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, 1.5, "", "x" * 2_000, "\ud800", "\x00", "M01", "99/99/9999", [], {}, [[]], [None],
    " ", "http://[::1", "//@", {"Url": None},
    {"Url": [" ", "http://[", "//@:99999999"]}, {"Url": ["\x00"]}, [{"Merchant": {}}],
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


def spoilt(document: Any, random: Random) -> Any:
    made = copy.deepcopy(document)
    for _ in range(random.randint(1, 4)):
        path = random.choice(places(made))
        if not path:
            continue
        where = made
        for step in path[:-1]:
            where = where[step]
        if random.random() < 0.2:
            del where[path[-1]]
        else:
            where[path[-1]] = copy.deepcopy(random.choice(ODD))
    return made


def test_a_spoilt_answer_is_read_or_refused(match: Any) -> None:
    match.list_merchant(OTHER, listed())
    match.list_merchant(OTHER, listed(MerchantId="b", Principal=[]))
    asks = inquiry(match)
    asks.ask(PARTY, "inq_1")
    good = match.exchanged[-1][1].body
    asked, random, read = Asked.of(PARTY, DIGESTER), Random(7), 0

    for _ in range(ROUNDS):
        try:
            told = part_of(spoilt(good, random), "TerminationInquiry")
            _, found = matches_of(told.get("PossibleMerchantMatches"), DIGESTER)
            hits = [hit_of(each, asked, DIGESTER) for each in found]
        except FeedRefused:
            continue
        made = indicators_of(hits, "terminated", asks.settings.lasts, utc_now())
        asked_about = {digest for _, digest in asked.names}
        assert {each.digest for each in made} <= asked_about  # never of what nobody asked about
        read += 1

    assert 0 < read < ROUNDS
