"""The simulated exchange as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from paycordon.simulated.silent import Silent
from paycordon.simulated.threatexchange.problems import Problem, missing
from paycordon.simulated.threatexchange.sharing import STATUSES, Descriptor, Exchange, Indicator
from paycordon.simulation import Answer, Control, Fault, Request, SimulatedServer

VERSION = re.compile(r"^/v\d{1,3}\.\d(?=/)")
MAX_PAGE = 1000
_TAG = "tag_"


class ThreatExchangeSimulator(SimulatedServer):
    """One simulated exchange with one privacy group; use it as a context manager.

    Args:
        members: by access token (`APP|SECRET`), the app that it is of.
        group: the id of the privacy group that all members are in.
        port: where to listen on 127.0.0.1; 0 lets the system choose.
        clock: the world's clock, UTC; `advance` lets the simulator's run ahead of it.
        rate_limit: how many requests a second it takes before it answers 429; no limit by default.

    Attributes:
        requests: method, path and query of each request of a member.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "POST", "DELETE")
    ledger: Exchange

    def __init__(
        self,
        members: Mapping[str, str],
        group: str,
        *,
        port: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rate_limit: int | None = None,
    ) -> None:
        super().__init__(port=port, clock=clock, rate_limit=rate_limit)
        self.requests: list[tuple[str, str, str]] = []
        self.ledger = Exchange(self.clock, [group])
        self.courier = Silent(self.clock, retries=(), random=Random(0))  # noqa: S311 - it delivers nothing
        self._members, self._group = dict(members), group

    def describe(self, app: str, **fields: str) -> str:
        """Let a member describe an indicator to the group, and return the descriptor's id.

        Raises:
            Problem: something is missing or malformed.
        """
        given = {"privacy_type": "HAS_PRIVACY_GROUP", "privacy_members": self._group, "share_level": "AMBER"}
        given |= {"status": "MALICIOUS", "description": "synthetic"}
        with self.step():
            return self.ledger.describe(app, given | fields).id

    def answer_control(self, request: Request) -> Answer:
        """Answer a request to watch or steer the simulator."""
        looks: dict[str, Callable[[str], Any]] = {
            "descriptors": lambda _: [self._shown(each, "") for each in self.ledger.descriptors.values()],
            "requests": lambda _: self.requests,
        }
        try:
            return Control(self, looks, {"descriptors": lambda body: self.describe(**body)}).answer(request)
        except Problem as problem:
            return Answer(problem.status, problem.body)

    def refusal(self, status: int) -> Answer:
        """Return the API's error object; of 429 it says when to come back."""
        return Answer(status, Problem(status, 2, "simulated").body, {"Retry-After": "3"} if status == 429 else {})

    def answer_api(self, request: Request, fault: Fault | None) -> Answer:
        """Answer a request to the API."""
        try:
            given = _parameters(request)
            member = self._member(request, given)
            if not self.rate_limit.take():
                return self.refusal(429)
            self.requests = [*self.requests[-9_999:], (request.method, request.path, request.query)]
            return self.performed(lambda: self._carry_out(request, given, member), self.refusal(500), fault)
        except Problem as problem:
            return Answer(problem.status, problem.body)

    def _member(self, request: Request, given: dict[str, str]) -> str:
        token = given.pop("access_token", "") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._members:
            raise Problem(401, 190, "Invalid OAuth access token signature.")
        return self._members[token]

    def _carry_out(self, request: Request, given: Mapping[str, str], member: str) -> Answer:
        path = VERSION.sub("", request.path).strip("/")
        try:
            return Answer(200, self._answer(request, path, given, member))
        except Problem as problem:
            return Answer(problem.status, problem.body)

    def _answer(self, request: Request, path: str, given: Mapping[str, str], member: str) -> Any:
        if request.method == "DELETE":
            self.ledger.delete(member, path)
            return {"success": True}
        if request.method == "POST":
            if path == "threat_descriptors":
                return {"success": True, "id": self.ledger.describe(member, given).id}
            self.ledger.edit(member, path, given)
            return {"success": True}
        return self._read(request, path, given, member)

    def _read(self, request: Request, path: str, given: Mapping[str, str], member: str) -> Any:
        if path == f"{self._group}/threat_updates":
            return self._updates(request, given, member)
        if path == "threat_tags":
            return self._tags(given.get("text", ""))
        if path == "" and "ids" in given:
            return {id_: self._object(id_, given, member) for id_ in given["ids"].split(",")}
        if path.endswith("/tagged_objects"):
            return self._tagged(path.partition("/")[0], request, given)
        return self._object(path, given, member)

    def _tags(self, text: str) -> dict[str, Any]:
        found = sorted(name for name in self.ledger.tags if name.startswith(text))
        return {"data": [{"id": f"{_TAG}{name}", "text": name} for name in found]}

    def _tagged(self, tag: str, request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        if not tag.startswith(_TAG):
            raise missing()
        found = self.ledger.tagged(tag.removeprefix(_TAG))
        return self._paged([{"id": each.id, "type": "THREAT_DESCRIPTOR"} for each in found], request, given)

    def _object(self, id_: str, given: Mapping[str, str], member: str) -> dict[str, Any]:
        names = _names(given.get("fields", "id"))
        about = self.ledger.indicators.get(id_)
        if about is not None:
            return _only(self._indicator(about, member), names)
        if "descriptors" in names:
            raise Problem(400, 100, "(#100) Tried accessing nonexisting field (descriptors)")
        return _only(self._shown(self.ledger.seen(member, id_), member), names)

    def _updates(self, request: Request, given: Mapping[str, str], member: str) -> dict[str, Any]:
        since = given.get("start_time", "0")
        names = _names(given.get("fields", "id,indicator,type,last_updated,should_delete"))
        found = self.ledger.updates(self._group, int(since) if since.isdecimal() and len(since) < 12 else 0)
        return self._paged([_only(self._indicator(each, member), names) for each in found], request, given)

    def _paged(self, found: list[Any], request: Request, given: Mapping[str, str]) -> dict[str, Any]:
        limit, after = given.get("limit", "25"), given.get("after", "0")
        if not (limit.isdecimal() and after.isdecimal() and len(after) < 9 and 1 <= int(limit or 0) <= MAX_PAGE):
            raise Problem(400, 100, "(#100) Param limit must be between 1 and 1000")
        end = int(after) + int(limit)
        page: dict[str, Any] = {"data": found[int(after) : end]}
        if end < len(found):
            query = urlencode({**given, "after": end})  # without the token, which came in a header
            page["paging"] = {"next": f"{self.base_url}{request.path}?{query}"}
        return page

    def _indicator(self, about: Indicator, member: str) -> dict[str, Any]:
        said = self.ledger.of(about.id)
        statuses = {each.fields["status"] for each in said}
        return {
            "id": about.id,
            "indicator": about.value,
            "type": about.type,
            "last_updated": int(about.updated_at.timestamp()),
            "should_delete": not said,
            "status": next((each for each in STATUSES if each in statuses), "UNKNOWN"),
            "descriptors": {"data": [self._shown(each, member) for each in said]},
        }

    def _shown(self, found: Descriptor, member: str) -> dict[str, Any]:
        reactions = [{"key": name, "value": ",".join(members)} for name, members in sorted(found.reactions.items())]
        return {
            **found.fields,
            "id": found.id,
            "raw_indicator": self.ledger.indicators[found.indicator].value,
            "owner": {"id": found.owner},
            "tags": {"data": [{"id": f"{_TAG}{each}", "text": each} for each in found.tags]},
            "added_on": found.added_at.isoformat(),
            "last_updated": found.updated_at.isoformat(),
            "reactions": reactions,
            "my_reactions": [name for name, members in sorted(found.reactions.items()) if member in members],
        }


def _parameters(request: Request) -> dict[str, str]:
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    if request.method == "POST":
        given |= dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    return given


def _names(text: str) -> set[str]:
    """Return the names of fields, without what is asked for inside of them."""
    return {"id", *re.sub(r"\{[^}]*\}", "", re.sub(r"\{[^{}]*\}", "", text)).split(",")}


def _only(found: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name in names}
