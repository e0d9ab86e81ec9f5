"""What must not be seen in texts that end up in logs."""

# ruff: noqa: S101 - these are tests, and pytest rewrites their assertions
from __future__ import annotations

import traceback

from paycordon.testing.harness import GatewayHarness
from paycordon.testing.payloads import CARD_NUMBER


def logged(error: BaseException) -> str:
    """Return what a log shows of an error: its own text and that of the errors it was raised from."""
    return "".join(traceback.format_exception(error)) + repr(error)


def refuse_shown(harness: GatewayHarness, shown: BaseException | str) -> None:
    """Fail when a text, or an error as a log shows it, holds a secret or the kit's card number."""
    text = shown if isinstance(shown, str) else logged(shown)
    kind = "a text" if isinstance(shown, str) else type(shown).__name__
    for index, secret in enumerate((*harness.secrets, *harness.credentials)):
        assert secret not in text, f"{kind} shows secret or credential number {index}"
    assert CARD_NUMBER not in text, f"{kind} shows a card number"
