"""The hooks: empty functions whose docstrings are the contract.

A plugin is a module named in the entry point group `paycordon`. It registers checks and gateways; each check is an
object of its own and implements one to three of the `screen_…` hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

if TYPE_CHECKING:
    from paycordon.checks.base import Check
    from paycordon.context import Context
    from paycordon.decisions import Finding
    from paycordon.demonstration import Demonstration
    from paycordon.events import Event
    from paycordon.exchange.contract import Recipient
    from paycordon.exchange.inquiry import Inquiry
    from paycordon.feeds.contract import Feed
    from paycordon.gateways import Gateway
    from paycordon.simulators import Simulator

PROJECT = "paycordon"
_F = TypeVar("_F", bound=Callable[..., Any])
_spec = pluggy.HookspecMarker(PROJECT)
_impl = pluggy.HookimplMarker(PROJECT)


def hookimpl(function: _F) -> _F:
    """Mark a function or method as the implementation of the hook of the same name."""
    return _impl(function)


def hookspec(function: _F) -> _F:
    """Mark a function as a hook's specification."""
    return _spec(function)


@hookspec
def register_checks() -> Iterable[type[Check[Any]]]:  # type: ignore[empty-body]  # a specification has no body
    """Return the check classes this plugin brings.

    Called once at the start. Each class is instantiated with its settings from the configuration and registered under
    its `id`; two checks of one id stop the start.
    """


@hookspec
def register_gateways() -> Iterable[type[Gateway[Any]]]:  # type: ignore[empty-body]  # a specification has no body
    """Return the gateway adapter classes this plugin brings.

    Called once at the start. The configuration refers to an adapter by its `name`.
    """


@hookspec
def register_demonstrations() -> Iterable[type[Demonstration]]:  # type: ignore[empty-body]  # see above
    """Return what `paycordon demo` can play with this plugin's gateway, without a network.

    Called by that command only.
    """


@hookspec
def register_simulators() -> Iterable[type[Simulator]]:  # type: ignore[empty-body]  # see above
    """Return the simulators that `paycordon simulate` can run with this plugin, each under its `name`.

    Called by that command only.
    """


@hookspec
def register_feeds() -> Iterable[type[Feed[Any]]]:  # type: ignore[empty-body]  # see above
    """Return the formats of feeds this plugin brings.

    Called once at the start. The configuration refers to a format by its `format`; two of one name stop the start.
    """


@hookspec
def register_recipients() -> Iterable[type[Recipient[Any]]]:  # type: ignore[empty-body]  # see above
    """Return the formats in which this plugin tells others what this deployment knows.

    Called once at the start. The section `exchange` refers to one by its `format`; two of one name stop the start.
    """


@hookspec
def register_inquiries() -> Iterable[type[Inquiry[Any]]]:  # type: ignore[empty-body]  # see above
    """Return the formats in which this plugin asks lists of terminated merchants.

    Called once at the start. The section `inquiries` refers to one by its `format`; two of one name stop the start.
    """


@hookspec
def notify(message: Mapping[str, Any]) -> None:
    """Tell somebody what happened, by a channel of your own: a chat, a ticket system, a message queue.

    Called by workers, after it is committed, with the neutral facts only: `id` (the same each time a message comes
    again), `type` such as `hold.placed`, `timestamp`, and `data`. At least once: an exception means that it was not
    taken, and it comes again after a growing pause. Messages come in no particular order.
    """


@hookspec
def screen_merchant(event: Event, context: Context) -> Iterable[Finding]:  # type: ignore[empty-body]  # see above
    """Conclude something about a merchant's onboarding or change (`merchant.*`).

    Return findings whose `code` the check declares in `emits`, or nothing. Must not do input or output: all there is
    to know is in `event` and `context`. An exception, a late answer or anything that is not a finding becomes a
    `CheckError` on the decision; other checks go on.
    """


@hookspec
def screen_payout(event: Event, context: Context) -> Iterable[Finding]:  # type: ignore[empty-body]  # see above
    """Conclude something about a payout (`payout.*`); otherwise as `screen_merchant`."""


@hookspec
def screen_dispute(event: Event, context: Context) -> Iterable[Finding]:  # type: ignore[empty-body]  # see above
    """Conclude something about a dispute (`dispute.*`); otherwise as `screen_merchant`."""
