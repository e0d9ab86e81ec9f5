"""Who may use the sidecar's own endpoints, and how much they may send, decided before anything is read or parsed."""

from __future__ import annotations

import hmac
from collections.abc import MutableMapping
from typing import Any

from paycordon.intake.asgi import Disconnected as Gone
from paycordon.intake.asgi import Receive, Scope, Send, answer, headers_of, read_body
from paycordon.intake.asgi import TooLarge as Large
from paycordon.intake.asgi import TooSlow as Slow


class Access:
    """Middleware that lets through only callers who present the token, and bodies of bounded size.

    Webhooks prove themselves by their signatures and health answers say nothing, so both pass.

    Args:
        app: the application behind it.
        token: what callers present as `Authorization: Bearer …`.
        protected: the paths that need it, below the mount point; with all that lies under them.
    """

    def __init__(self, app: Any, token: str, protected: tuple[str, ...]) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._protected = protected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or turn it away with an empty answer."""
        if scope["type"] != "http" or not self._is_protected(scope):
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        given = headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._expected):
            await answer(send, 401, {"www-authenticate": "Bearer"})
            return
        try:
            body = await read_body(headers, receive)
        except Large:
            await answer(send, 413)
            return
        except Slow:
            await answer(send, 408)
            return
        except Gone:
            return
        await self._app(scope, _replayed(body, receive), send)

    def _is_protected(self, scope: Scope) -> bool:
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        return any(path == place or path.startswith(f"{place}/") for place in self._protected)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand over a body that was read already; after it come the server's own messages."""
    first: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return first.pop() if first else await receive()

    return replay
