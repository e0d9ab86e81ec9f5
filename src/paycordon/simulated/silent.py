"""A courier without endpoints, for services that tell nobody by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycordon.simulation import Courier, Endpoint


class Silent(Courier[Endpoint, Any]):
    """Delivers nothing."""

    def wants(self, endpoint: Endpoint, message: Any) -> bool:  # noqa: ARG002 - there is no endpoint
        """Tell that nobody wants it."""
        return False

    def send(self, endpoint: Endpoint, messages: Sequence[Any]) -> int:  # noqa: ARG002 - see above
        """Refuse: there is nobody to deliver to."""
        raise OSError("there are no endpoints")

    def named(self, endpoint: Endpoint, message: Any) -> tuple[str, str]:  # noqa: ARG002 - see above
        """Name nothing."""
        return "", ""
