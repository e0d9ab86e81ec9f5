"""The hub's door, a bare ASGI application: members only, bodies of fixed form, limits, and an audit without content.

The hub never learns whether an identifier is known: it evaluates, and hands out buckets of one size, and the member
compares. So there is no hit or miss here that an answer's time, size or wording could tell.
"""

from __future__ import annotations

import hmac
import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from paycordon.errors import ConfigError, StoreUnavailable
from paycordon.hub import group, voprf
from paycordon.hub.buckets import Buckets
from paycordon.hub.home import Home
from paycordon.hub.ledger import Row
from paycordon.hub.wire import BATCH, BINARY, INDEX_BYTES, Epoch
from paycordon.intake.asgi import (
    Disconnected,
    Receive,
    Scope,
    Send,
    TooLarge,
    TooSlow,
    answer,
    headers_of,
    read_body,
)
from paycordon.recognition import digest_of_token
from paycordon.store.schema import from_micros, micros

_logger = logging.getLogger("paycordon")
_EVALUATE = re.compile(r"/v1/epochs/(\d{1,9})/evaluate")
_BUCKETS = re.compile(r"/v1/epochs/(\d{1,9})/lists/([0-9a-f]{32})/buckets")
_EPOCHS = "/v1/epochs"
_HEALTH = "/healthz"


class _Turned(Exception):  # never leaves the module; it becomes an answer
    """A request that is answered by its status alone."""

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers
        super().__init__(status)


@dataclass(frozen=True, slots=True)
class _Served:
    """An epoch ready to answer."""

    shown: Epoch
    key: bytes
    public_key: bytes
    buckets: Buckets
    ends_at: int | None


class Door:
    """Serves members below `/v1`, and `GET /healthz`, which says that the process lives.

    `GET /v1/epochs` describes the keys in use. `POST /v1/epochs/{n}/evaluate` takes up to 64 blinded elements and
    answers with the evaluated ones and a proof. `POST /v1/epochs/{n}/lists/{list}/buckets` takes up to 64 numbers of
    buckets, 4 bytes each, and answers with the buckets. A list that has changed is 409, an epoch that has ended 410, a
    limit that is reached 429.

    Args:
        home: the hub, which is its owner's to close.
        clock: says what time it is, UTC.

    Raises:
        ConfigError: a key or a list is missing or damaged.
    """

    def __init__(self, home: Home, clock: Callable[[], datetime]) -> None:
        self._home = home
        self._clock = clock
        self._generation = -1
        self._members: list[tuple[bytes, Row]] = []
        self._epochs: dict[int, _Served] = {}
        home.retire(clock())
        self._refresh()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything that is not HTTP is turned away."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"a hub does not speak `{scope['type']}`")
        try:
            content, body = await self._result(scope, receive)
        except _Turned as turned:
            await answer(send, turned.status, turned.headers)
        except TooLarge:
            await answer(send, 413)
        except TooSlow:
            await answer(send, 408)
        except Disconnected:
            return
        except (StoreUnavailable, ConfigError) as error:  # without its audit nothing is answered
            _logger.critical("a request to the hub could not be answered: %s", error)
            await answer(send, 503, {"retry-after": "10"})
        else:
            await _send(send, content, body)

    async def _result(self, scope: Scope, receive: Receive) -> tuple[str, bytes]:
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        if path == _HEALTH:
            _require_method(scope, "GET")
            return "application/json", b'{"status":"ok"}'
        headers = headers_of(scope)
        self._refresh()
        member = self._member(headers)
        if path == _EPOCHS:
            _require_method(scope, "GET")
            return "application/json", self._described()
        evaluating, fetching = _EVALUATE.fullmatch(path), _BUCKETS.fullmatch(path)
        asked = evaluating or fetching
        if asked is None:
            raise _Turned(404)
        _require_method(scope, "POST")
        if headers.get("content-type") != BINARY or "content-encoding" in headers:
            raise _Turned(415)
        epoch = self._epoch(int(asked[1]))
        if evaluating:
            elements = _parts(await _body(headers, receive, group.ELEMENT_BYTES), group.ELEMENT_BYTES)
            return BINARY, self._evaluate(member, epoch, elements)
        numbers = _parts(await _body(headers, receive, INDEX_BYTES), INDEX_BYTES)
        return BINARY, self._fetch(member, epoch, asked[2], [int.from_bytes(each, "big") for each in numbers])

    def _refresh(self) -> None:
        """Look again at members and epochs, if the ledger says that they have changed or the time of one is over."""
        if any(map(self._over, self._epochs.values())):
            self._home.retire(self._clock())
        generation = self._home.ledger.generation()
        if generation == self._generation:
            return
        self._members = [(bytes.fromhex(each["token_sha256"]), each) for each in self._home.members()]
        rows = [row for row in self._home.epochs(self._clock()) if row["built_at"] is not None]
        self._epochs = {row["number"]: self._served(row) for row in rows}
        self._generation = generation

    def _served(self, row: Row) -> _Served:
        ends_at = row["ends_at"]
        shown = Epoch(
            number=row["number"],
            public_key=row["public_key"],
            list=row["list"],
            bits=row["bits"],
            capacity=row["capacity"],
            smallest=row["smallest"],
            ends_at=from_micros(ends_at).isoformat() if ends_at else None,
        )
        known = self._epochs.get(shown.number)
        if known and known.shown.list == shown.list:
            return _Served(shown, known.key, known.public_key, known.buckets, ends_at)
        buckets = Buckets(self._home.lists / f"{shown.list}.buckets", shown.bits, shown.capacity)
        return _Served(shown, self._home.key_of(row), bytes.fromhex(shown.public_key), buckets, ends_at)

    def _member(self, headers: Mapping[str, str]) -> Row:
        """Recognise a member; the time it takes does not depend on which one it is, or on how wrong a token is."""
        given = headers.get("authorization", "")
        digest = bytes.fromhex(digest_of_token(given.removeprefix("Bearer ")))
        found: Row | None = None
        for expected, member in self._members:
            if hmac.compare_digest(digest, expected):
                found = member
        if found is None or not given.startswith("Bearer "):
            raise _Turned(401, {"www-authenticate": "Bearer"})
        return found

    def _epoch(self, number: int) -> _Served:
        epoch = self._epochs.get(number)
        if epoch is None:
            raise _Turned(410 if number < max(self._epochs, default=0) else 404)
        if self._over(epoch):
            raise _Turned(410)
        return epoch

    def _over(self, epoch: _Served) -> bool:
        return epoch.ends_at is not None and epoch.ends_at <= micros(self._clock())

    def _described(self) -> bytes:
        epochs = [asdict(each.shown) for each in self._epochs.values() if not self._over(each)]
        return json.dumps({"suite": voprf.SUITE, "batch": BATCH, "epochs": epochs}, separators=(",", ":")).encode()

    def _charge(self, member: Row, what: str, number: int, epoch: _Served) -> None:
        after = self._home.ledger.charge(member, what, number, epoch.shown.number, self._clock())
        if after:
            raise _Turned(429, {"retry-after": str(math.ceil(after))})

    def _evaluate(self, member: Row, epoch: _Served, elements: list[bytes]) -> bytes:
        try:
            for each in elements:
                group.element_from(each)
            self._charge(member, "evaluate", len(elements), epoch)
            evaluated, proof = voprf.blind_evaluate(epoch.key, epoch.public_key, elements, group.random_scalar())
        except group.InvalidEncoding:
            raise _Turned(400) from None
        return b"".join(evaluated) + proof

    def _fetch(self, member: Row, epoch: _Served, name: str, numbers: list[int]) -> bytes:
        if name != epoch.shown.list:
            raise _Turned(409)
        if any(number >> epoch.shown.bits for number in numbers):
            raise _Turned(400)
        self._charge(member, "buckets", len(numbers), epoch)
        return b"".join(map(epoch.buckets.bucket, numbers))


def _require_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise _Turned(405, {"allow": method})


async def _body(headers: Mapping[str, str], receive: Receive, size: int) -> bytes:
    return await read_body(headers, receive, limit=BATCH * size)


def _parts(body: bytes, size: int) -> list[bytes]:
    if not body or len(body) % size:
        raise _Turned(400)
    return [body[at : at + size] for at in range(0, len(body), size)]


async def _send(send: Send, content: str, body: bytes) -> None:
    fields = {"content-type": content, "content-length": str(len(body)), "cache-control": "no-store"}
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": body})
