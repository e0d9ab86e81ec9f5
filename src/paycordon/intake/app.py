"""The door for webhooks, a bare ASGI application: verify, store, answer.

The answers are kept apart, because gateways act on them: a wrong signature is 401; what is authentic but means
nothing here is 200, for a gateway that gets errors for such messages stops sending the others; what is ours is 200
once it is safely stored; what is ours and cannot be read is 400; and when the store is unavailable, or an adapter
fails, the answer is 5xx so that the gateway sends the message again. No answer has a body.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from paycordon.errors import PayloadInvalid, SignatureInvalid, StoreUnavailable
from paycordon.gateways import Delivery, Gateway, Message
from paycordon.intake.asgi import Disconnected, Receive, Scope, Send, TooLarge, TooSlow, answer, headers_of, read_body
from paycordon.intake.meaning import described, storable
from paycordon.metrics import Metrics
from paycordon.store import Store
from paycordon.store.deliveries import store_messages

_logger = logging.getLogger("paycordon")


class Answer(StrEnum):
    """What became of a delivery at the door; the values are those of the metric's label."""

    STORED = "stored"
    REPEATED = "repeated"
    IGNORED = "ignored"
    SIGNATURE_INVALID = "signature_invalid"
    PAYLOAD_INVALID = "payload_invalid"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    UNKNOWN_INSTANCE = "unknown_instance"
    WRONG_METHOD = "wrong_method"
    DISCONNECTED = "disconnected"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"

    @property
    def status(self) -> int:
        """The HTTP status it is answered with."""
        return _STATUS[self]


_STATUS = {
    Answer.STORED: 200,
    Answer.REPEATED: 200,
    Answer.IGNORED: 200,
    Answer.SIGNATURE_INVALID: 401,
    Answer.PAYLOAD_INVALID: 400,
    Answer.TOO_LARGE: 413,
    Answer.TOO_SLOW: 408,
    Answer.UNKNOWN_INSTANCE: 404,
    Answer.WRONG_METHOD: 405,
    Answer.DISCONNECTED: 400,
    Answer.UNAVAILABLE: 503,
    Answer.FAILED: 500,
}


class Intake:
    """Takes deliveries at `POST /{instance}`, below wherever it is mounted.

    Needs no start and no stop of its own; the store is its owner's to close.

    Args:
        gateways: the adapters by instance.
        store: where messages go.
        clock: says what time it is, UTC; signatures are checked against it.
        metrics: where deliveries are counted.
    """

    def __init__(
        self,
        gateways: Mapping[str, Gateway[Any]],
        store: Store,
        clock: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        self._gateways = dict(gateways)
        self._store = store
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything that is not HTTP is turned away."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"the intake does not speak `{scope['type']}`")
        instance = _instance(scope)
        gateway = self._gateways.get(instance)
        result = await self._result(scope, receive, gateway)
        self._metrics.delivered(instance if gateway else "unknown", result.value)
        if result is not Answer.DISCONNECTED:
            await answer(send, result.status, {"allow": "POST"} if result is Answer.WRONG_METHOD else None)

    async def _result(self, scope: Scope, receive: Receive, gateway: Gateway[Any] | None) -> Answer:
        if gateway is None:
            return Answer.UNKNOWN_INSTANCE
        if scope["method"] != "POST":
            return Answer.WRONG_METHOD
        headers = headers_of(scope)
        try:
            body = await read_body(headers, receive)
        except TooLarge:
            return Answer.TOO_LARGE
        except TooSlow:
            return Answer.TOO_SLOW
        except Disconnected:
            return Answer.DISCONNECTED
        return await asyncio.to_thread(self.take, gateway, Delivery(headers, body))

    def take(self, gateway: Gateway[Any], delivery: Delivery) -> Answer:
        """Verify a delivery and store what of it is ours. Blocks; call it off the event loop."""
        try:
            return self._take(gateway, gateway.verify(delivery, self._clock()))
        except SignatureInvalid:
            return Answer.SIGNATURE_INVALID
        except StoreUnavailable as error:
            _logger.warning("a delivery to `%s` could not be stored: %s", gateway.instance, described(error))
            return Answer.UNAVAILABLE
        except Exception as error:  # whatever fails here is ours to mend, and the gateway's to send again
            _logger.critical("a delivery to `%s` failed: %s", gateway.instance, described(error))
            return Answer.FAILED

    def _take(self, gateway: Gateway[Any], messages: Sequence[Message]) -> Answer:
        ours: list[Message] = []
        unreadable = False
        for message in messages:
            try:
                stored = storable(gateway, message)
            except PayloadInvalid as error:
                _logger.warning("a message to `%s` cannot be read: %s", gateway.instance, described(error))
                unreadable = True
                continue
            if stored is not None:
                ours.append(stored)
        # One message that cannot be read does not take the others of its delivery down with it.
        new = store_messages(self._store, gateway.instance, ours, self._clock()) if ours else 0
        if unreadable:
            return Answer.PAYLOAD_INVALID
        if not ours:
            return Answer.IGNORED
        return Answer.STORED if new else Answer.REPEATED


def _instance(scope: Scope) -> str:
    """The path below the mount point, which ASGI servers repeat in `path`, without its slashes."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    if root and path.startswith(root):
        path = path[len(root) :]
    return path.strip("/")
