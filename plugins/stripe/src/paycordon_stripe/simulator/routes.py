"""Which request does what."""

from __future__ import annotations

import re
from collections.abc import Callable

from paycordon_stripe.simulator import accounts, payouts
from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import Problem, unknown

Handler = Callable[[Ledger, str | None, Json, tuple[str, ...]], Json]
_ID = r"([^/]+)"


def _retrieve_account(ledger: Ledger, _: str | None, __: Json, ids: tuple[str, ...]) -> Json:
    return ledger.account(ids[0])


def _external_accounts(ledger: Ledger, _: str | None, __: Json, ids: tuple[str, ...]) -> Json:
    found: Json = ledger.account(ids[0])["external_accounts"]
    return found


def _retrieve_capability(ledger: Ledger, _: str | None, __: Json, ids: tuple[str, ...]) -> Json:
    ledger.account(ids[0])
    if ids[1] not in ledger.capabilities[ids[0]]:
        raise unknown("capability", ids[1])
    return ledger.capabilities[ids[0]][ids[1]]


def _retrieve_payout(ledger: Ledger, account: str | None, _: Json, ids: tuple[str, ...]) -> Json:
    return ledger.payout(payouts.owner_of(ledger, account), ids[0])


def _retrieve_dispute(ledger: Ledger, account: str | None, _: Json, ids: tuple[str, ...]) -> Json:
    found = ledger.disputes.get(payouts.owner_of(ledger, account), {}).get(ids[0])
    if found is None:
        raise unknown("dispute", ids[0])
    return found


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", f"/v1/accounts/{_ID}", _retrieve_account),
    ("POST", "/v1/accounts", lambda ledger, _, params, __: accounts.create(ledger, params)),
    ("POST", f"/v1/accounts/{_ID}", lambda ledger, _, params, ids: accounts.update(ledger, ids[0], params)),
    ("GET", f"/v1/accounts/{_ID}/external_accounts", _external_accounts),
    ("GET", f"/v1/accounts/{_ID}/capabilities", lambda ledger, _, __, ids: accounts.list_capabilities(ledger, ids[0])),
    ("GET", f"/v1/accounts/{_ID}/capabilities/{_ID}", _retrieve_capability),
    (
        "POST",
        f"/v1/accounts/{_ID}/capabilities/{_ID}",
        lambda ledger, _, params, ids: accounts.update_capability(ledger, ids[0], ids[1], params),
    ),
    (
        "POST",
        "/v1/payouts",
        lambda ledger, account, params, _: payouts.create(ledger, payouts.owner_of(ledger, account), params),
    ),
    ("GET", "/v1/payouts", lambda ledger, account, _, __: payouts.listed(ledger, payouts.owner_of(ledger, account))),
    ("GET", f"/v1/payouts/{_ID}", _retrieve_payout),
    (
        "POST",
        f"/v1/payouts/{_ID}/cancel",
        lambda ledger, account, _, ids: payouts.cancel(ledger, payouts.owner_of(ledger, account), ids[0]),
    ),
    ("GET", f"/v1/disputes/{_ID}", _retrieve_dispute),
    ("POST", "/v1/transfers", lambda ledger, _, params, __: payouts.transfer(ledger, params)),
)


def carry_out(ledger: Ledger, method: str, path: str, account: str | None, params: Json) -> Json:
    """Do what a request asks for and return the object to answer with.

    Raises:
        Problem: Stripe would answer with an error.
    """
    for route_method, pattern, handler in ROUTES:
        found = re.fullmatch(pattern, path)
        if found and route_method == method:
            return handler(ledger, account, params, found.groups())
    raise Problem(404, f"Unrecognized request URL ({method}: {path}).")
