"""The simulated service as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from paycordon.simulated.match.listing import Inquired, Listed, TerminatedMerchants, match, summary
from paycordon.simulated.match.oauth import Verifier
from paycordon.simulated.match.problems import Problem
from paycordon.simulated.silent import Silent
from paycordon.simulation import Answer, Control, Fault, Request, SimulatedServer

PREFIX = "/fraud/merchant/v3"
MAX_PAGE = 100


class MatchSimulator(SimulatedServer):
    """One simulated list of terminated merchants; use it as a context manager.

    Args:
        consumers: by consumer key, the public key that its requests are verified with, and the acquirers (ICA
            numbers) that it may ask for.
        port: where to listen on 127.0.0.1; 0 lets the system choose.
        clock: the world's clock, UTC; `advance` lets the simulator's run ahead of it.
        rate_limit: how many requests a second it takes before it answers 429; no limit by default.

    Attributes:
        requests: method and path of each request that was signed as it must be.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "POST", "DELETE")
    ledger: TerminatedMerchants

    def __init__(
        self,
        consumers: Mapping[str, tuple[RSAPublicKey, Iterable[str]]],
        *,
        port: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rate_limit: int | None = None,
    ) -> None:
        super().__init__(port=port, clock=clock, rate_limit=rate_limit)
        self.requests: list[tuple[str, str]] = []
        self.ledger = TerminatedMerchants(self.clock)
        self.courier = Silent(self.clock, retries=(), random=Random(0))  # noqa: S311 - it delivers nothing
        self._verifier = Verifier({consumer: key for consumer, (key, _) in consumers.items()})
        self._may = {consumer: frozenset(acquirers) for consumer, (_, acquirers) in consumers.items()}
        self.looks: dict[str, Callable[[str], Any]] = {
            "listed": lambda _: [_shown(each) for each in self.ledger.still(list(self.ledger.listed.values()))],
            "inquiries": lambda _: [each.reference for each in self.ledger.inquiries.values()],
            "requests": lambda _: self.requests,
        }

    def list_merchant(self, acquirer: str, merchant: Mapping[str, Any]) -> str:
        """Let an acquirer list a merchant (`Merchant` of an add request), and return its reference.

        Raises:
            Problem: something is missing or malformed.
        """
        with self.step():
            return self.ledger.add(acquirer, merchant).reference

    def remove(self, reference: str) -> None:
        """Let its lister take a merchant off the list, in the service's application.

        Raises:
            Problem: it is not listed.
        """
        with self.step():
            self.ledger.remove(reference)

    def answer_control(self, request: Request) -> Answer:
        """Answer a request to watch or steer the simulator."""
        steps: dict[str, Callable[[dict[str, Any]], Any]] = {
            "listed": lambda body: self.list_merchant(body["acquirer"], body["merchant"]),
            "removals": lambda body: self.remove(body["reference"]),
        }
        try:
            return Control(self, self.looks, steps).answer(request)
        except Problem as problem:
            return Answer(problem.status, problem.body)

    def refusal(self, status: int) -> Answer:
        """Return the service's error object; of 429 it says when to come back."""
        body = Problem(status, "SIMULATED", recoverable=status == 429 or status >= 500).body
        return Answer(status, body, {"Retry-After": "3"} if status == 429 else {})

    def answer_api(self, request: Request, fault: Fault | None) -> Answer:
        """Answer a request to the service."""
        try:
            consumer = self._verifier.consumer(request, self.base_url, self._world())
            if not self.rate_limit.take():
                return self.refusal(429)
            self.requests = [*self.requests[-9_999:], (request.method, request.path)]
            return self.performed(lambda: self._carry_out(request, consumer), self.refusal(500), fault)
        except Problem as problem:
            return Answer(problem.status, problem.body)

    def _carry_out(self, request: Request, consumer: str) -> Answer:
        path = request.path.removeprefix(PREFIX)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        try:
            if request.method == "GET" and path.startswith("/termination-inquiry/"):
                return self._history(path.rpartition("/")[2], query, consumer)
            run = self._calls().get(path) if request.method == "POST" and request.path.startswith(PREFIX) else None
            if run is None:
                return Answer(404, Problem(404, "NOT_FOUND").body)
            return run(_body(request), query, consumer)
        except Problem as problem:
            return Answer(problem.status, problem.body)

    def _calls(self) -> dict[str, Callable[[Mapping[str, Any], Mapping[str, str], str], Answer]]:
        return {
            "/termination-inquiry": self._inquire,
            "/add-merchant": self._add,
            "/retro/retro-list": self._retro_list,
            "/retro/retro-inquiry-details": self._retro_details,
            "/common/contact-details": self._contact,
        }

    def _inquire(self, body: Mapping[str, Any], query: Mapping[str, str], consumer: str) -> Answer:
        asked = _part(body, "TerminationInquiryRequest")
        acquirer = self._acquirer(asked.get("AcquirerId"), consumer)
        start, length = _page(query)
        made = self.ledger.inquire(acquirer, _part(asked, "Merchant"))
        return Answer(200, self._inquiry(made, start, length, asked.get("TransactionReferenceNumber")))

    def _history(self, reference: str, query: Mapping[str, str], consumer: str) -> Answer:
        acquirer = self._acquirer(query.get("AcquirerId"), consumer)
        return Answer(200, self._inquiry(self.ledger.of(acquirer, reference), *_page(query), None))

    def _inquiry(self, made: Inquired, start: int, length: int, named: Any) -> dict[str, Any]:
        """Describe what an inquiry found when it was made: the service keeps that, and does not look again."""
        answer: dict[str, Any] = {
            "PageOffset": start,
            "Ref": f"{self.base_url}{PREFIX}/termination-inquiry/{made.reference}",
            "PossibleMerchantMatches": [_matches(made, made.found, start, length)],
        }
        return {"TerminationInquiry": answer | ({"TransactionReferenceNumber": named} if named else {})}

    def _add(self, body: Mapping[str, Any], _: Mapping[str, str], consumer: str) -> Answer:
        asked = _part(body, "AddMerchantRequest")
        acquirer = self._acquirer(asked.get("AcquirerId"), consumer)
        added = self.ledger.add(acquirer, _part(asked, "Merchant"))
        named = {"MerchantReferenceNumber": added.reference, "Name": str(added.merchant["Name"]).upper()}
        return Answer(200, {"AddMerchantResponse": named})

    def _retro_list(self, body: Mapping[str, Any], _: Mapping[str, str], consumer: str) -> Answer:
        acquirer = self._acquirer(_part(body, "RetroRequest").get("AcquirerId"), consumer)
        found = [summary(each) for each in self.ledger.retro(acquirer)]
        # The description has one object, and speaks of several matches.
        return Answer(200, {"RetroResponse": found[0] if len(found) == 1 else found})

    def _retro_details(self, body: Mapping[str, Any], query: Mapping[str, str], consumer: str) -> Answer:
        acquirer = self._acquirer(query.get("AcquirerId"), consumer)
        asked = self.ledger.of(acquirer, str(_part(body, "RetroInquiryRequest").get("InquiryReferenceNumber")))
        later = self.ledger.still(asked.later)
        return Answer(
            200, {"RetroInquiryResponse": {"PossibleMerchantMatches": _matches(asked, later, 0, max(1, len(later)))}}
        )

    def _contact(self, body: Mapping[str, Any], _: Mapping[str, str], consumer: str) -> Answer:
        self._acquirer(None, consumer, needed=False)
        acquirer = str(_part(body, "ContactRequest").get("AcquirerId") or "")
        contact = {"BankName": f"BANK {acquirer}", "EmailAddress": f"match-{acquirer}@bank.example", "Region": "EUROPE"}
        return Answer(200, {"ContactResponse": {"Contact": [contact] if acquirer else []}})

    def _acquirer(self, given: Any, consumer: str, *, needed: bool = True) -> str:
        acquirer = str(given or "").strip()
        if needed and acquirer not in self._may[consumer]:
            raise Problem(403, "UNAUTHORIZED_ACQUIRER", "AcquirerId")
        return acquirer


def _matches(inquiry: Inquired, listed: list[Listed], start: int, length: int) -> dict[str, Any]:
    page = [match(inquiry, each) for each in listed[start : start + length]]
    return {"TotalLength": len(listed), "TerminatedMerchant": page}


def _shown(listed: Listed) -> dict[str, str]:
    return {"reference": listed.reference, "acquirer": listed.acquirer, "name": str(listed.merchant["Name"])}


def _body(request: Request) -> Mapping[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Problem(415, "UNSUPPORTED_MEDIA_TYPE")
    try:
        found = json.loads(request.body)
    except ValueError:
        raise Problem(400, "INVALID_JSON") from None
    if not isinstance(found, dict):
        raise Problem(400, "INVALID_JSON")
    return found


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    if not isinstance(found, Mapping):
        raise Problem(400, "MISSING_REQUIRED_INPUT", name)
    return found


def _page(query: Mapping[str, str]) -> tuple[int, int]:
    start, length = query.get("PageOffset", ""), query.get("PageLength", "")
    if not (start.isdecimal() and length.isdecimal() and len(start) < 9 and 1 <= int(length) <= MAX_PAGE):
        raise Problem(400, "INVALID_INPUT_VALUE", "PageLength")
    return int(start), int(length)
