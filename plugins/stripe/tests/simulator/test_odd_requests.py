"""Every request, however odd, is answered or refused: a simulator that falls over hides what it should show."""

from __future__ import annotations

import json
from itertools import islice
from typing import get_args

import pytest

from paycordon_stripe.simulator.parameters import _declared, _fields
from paycordon_stripe.simulator.problems import Problem
from paycordon_stripe.simulator.routes import ROUTES, carry_out

ODD = ["", "1", "-1", "true", "usd", "x" * 300, "acct_none", {}, [], ["x"], {"a": "b"}, {"": {"": ""}}, [[]], None, 1.5]
MOST = 300
SENSIBLE = {"amount": "100", "currency": "usd", "destination": "acct_1", "reason": "other", "charge": "ch_1"}


@pytest.fixture
def ids(simulator, account):
    """An object of each kind that paths name, by the route's last collection."""
    charge = simulator.charge(account, 4_200)
    dispute = simulator.open_dispute(account, simulator.charge(account, 100))
    return {
        "accounts": account,
        "capabilities": "transfers",
        "charges": charge,
        "disputes": dispute,
        "reviews": simulator.open_review(account, charge),
        "early_fraud_warnings": simulator.warn_of_fraud(account, charge),
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_an_odd_request_is_answered_or_refused(simulator, account, ids, route):
    parts = route.path.split("/")
    for index, part in enumerate(parts):
        if part == "*":
            parts[index] = ids.get(parts[index - 1], "x_none")
    kind = _declared(route.takes)
    least = {name: SENSIBLE.get(name, "x") for name in _fields(kind)[1]}
    refusals = set()
    for params in islice(odd(kind), MOST):
        for owner in (None, account):
            try:
                given = json.loads(json.dumps({**least, **params}))
                answer = carry_out(simulator.ledger, route.method, "/".join(parts), owner, given, "2026-10-28.endive")
                assert isinstance(answer, dict)
                json.dumps(answer)
            except Problem as problem:
                refusals.add(problem.status)
    assert refusals <= {400, 402, 403, 404}


def odd(kind, depth=3):
    """Parameters with one odd value each, at every place the SDK declares down to a depth."""
    for name, declared in _fields(kind)[0].items():
        for value in ODD:
            yield {name: value}
        for inner in objects_in(declared) if depth else ():
            for value in odd(inner, depth - 1):
                yield {name: value}
                yield {name: [value]}


def objects_in(declared):
    if hasattr(declared, "__required_keys__"):
        return [declared]
    return [found for part in get_args(declared) for found in objects_in(part)]
