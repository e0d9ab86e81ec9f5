"""A tiny Acme Pay: accounts with a payout schedule and a payments switch, over HTTP."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

from paycordon.testing import Answer, HttpSimulator, Request

API_KEY = "acme_key_for_tests_only"


class AcmeSimulator(HttpSimulator):
    """Keeps accounts in memory; a repeated idempotency key gets the first answer again, as at many gateways."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str, dict[str, Any]] = {}
        self.changes: dict[str, int] = {}
        self._answers: dict[str, tuple[Request, Answer]] = {}
        self._numbers = itertools.count(1)

    def open_account(self) -> str:
        """Open an account that is paid out on Fridays, and return its id."""
        account = f"acct_{next(self._numbers)}"
        self.accounts[account] = {
            "id": account,
            "payout_schedule": {"interval": "weekly", "anchor": "friday"},
            "payments": True,
            "nickname": "synthetic",
        }
        self.changes[account] = 0
        return account

    def answer(self, request: Request) -> Answer:
        """Serve `GET` and `POST` of `/v1/accounts/<id>`."""
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return Answer(401, {"error": "unauthorised"})
        account = self.accounts.get(request.path.removeprefix("/v1/accounts/"))
        if account is None:
            return Answer(404, {"error": "no_such_account"})
        if request.method == "GET":
            return Answer(200, copy.deepcopy(account))
        return self._once(request, account)

    def _once(self, request: Request, account: dict[str, Any]) -> Answer:
        key = request.headers["idempotency-key"]
        if key in self._answers:
            first, answer = self._answers[key]
            same = (first.path, first.body) == (request.path, request.body)
            return answer if same else Answer(409, {"error": "idempotency_key_reused"})
        changed = account | json.loads(request.body)
        if changed != account:
            account.update(changed)
            self.changes[account["id"]] += 1
        answer = Answer(200, copy.deepcopy(account))
        self._answers[key] = (request, answer)
        return answer
