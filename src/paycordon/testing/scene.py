"""One account at the simulator under test, and what the kit does to it."""

# ruff: noqa: S101 - these are tests, and pytest rewrites their assertions
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from paycordon.errors import ActionError
from paycordon.events import Subject
from paycordon.gateways import Applied, Change, Gateway, GatewayState, Grade, Restriction, Settings
from paycordon.testing.faults import Fault
from paycordon.testing.harness import GatewayHarness
from paycordon.testing.secrecy import refuse_shown

MAX_REQUESTS = 24


def through_json(settings: Settings) -> Settings:
    """Return settings as they come back from the store, which keeps them as JSON."""
    return cast("Settings", json.loads(json.dumps(dict(settings))))


def enforced(harness: GatewayHarness) -> list[Restriction]:
    """The restrictions that the adapter declares it can bring about, from the mildest to the most severe."""
    declared = harness.gateway.capabilities
    able = (Grade.FULL, Grade.PARTIAL)
    return [r for r in Restriction if r is not Restriction.NONE and r in declared and declared[r].grade in able]


def restored(harness: GatewayHarness) -> list[Restriction]:
    """Those of them whose baseline the adapter declares it can restore exactly."""
    return [r for r in enforced(harness) if harness.gateway.capabilities[r].reversible]


class Scene:
    """A new account in an ordinary state; its baseline was read, and went through JSON as in the store."""

    def __init__(self, harness: GatewayHarness, *, changed_by_hand: bool = False) -> None:
        self.harness = harness
        self.gateway: Gateway[Any] = harness.gateway
        self.subject: Subject = harness.subject()
        if changed_by_hand:
            harness.change_by_hand(self.subject)
        self.truth_before = self.truth()
        self.baseline = self.read()
        self._keys = 0

    def truth(self) -> Settings:
        """The account's settings, straight from the simulator."""
        return through_json(self.harness.settings_at_gateway(self.subject))

    def restriction(self) -> Restriction:
        """What the simulator would stop."""
        return self.harness.restriction_at_gateway(self.subject)

    def changes(self) -> int:
        """How often the account's settings were changed."""
        return self.harness.changes(self.subject)

    def read(self) -> GatewayState:
        """What the adapter says of the account."""
        return self.gateway.read(self.subject)

    def new_key(self) -> str:
        """A key that no change of the kit had before."""
        self._keys += 1
        return f"kit-{self.subject.account}-{self._keys}"

    def apply(self, to: Restriction, key: str | None = None) -> Applied:
        """Bring the account to a restriction and check that the answer is true, the baseline being the first one."""
        change = Change(to=to, baseline=through_json(self.baseline.settings))
        applied = self.gateway.apply(self.subject, change, key or self.new_key())
        assert applied.state == self.read(), f"`{to}`: what `apply` returned is not what `read` returns afterwards"
        if to is Restriction.NONE:
            return applied
        assert applied.state.restriction.rank >= to.rank, (
            f"`{to}`: the adapter says it is only {applied.state.restriction}"
        )
        assert self.restriction().rank >= to.rank, f"`{to}`: the gateway only does `{self.restriction()}`"
        return applied

    def release(self, what: str, key: str | None = None) -> None:
        """Write the baseline back and check that everything at the gateway is as it was."""
        self.apply(Restriction.NONE, key)
        assert self.truth() == self.truth_before, (
            f"{what}: released, the gateway's settings are not as they were before"
        )
        assert self.read() == self.baseline, f"{what}: released, the adapter does not read the baseline"

    def fail(self, to: Restriction, fault: Fault, after: int, key: str) -> bool:
        """Apply while one request fails; check the error's class, and say whether a request met the fault at all."""
        before, truth = self.changes(), self.truth()
        self.harness.faults.add(fault, after)
        what = f"`{to}` with `{fault}` at request {after}"
        error: ActionError | None = None
        try:
            self.gateway.apply(self.subject, Change(to, through_json(self.baseline.settings)), key)
        except ActionError as caught:
            error = caught
        except Exception as other:
            pytest.fail(f"{what}: `apply` raised {type(other).__name__} instead of an ActionError")
        finally:
            unmet = self.harness.faults.clear()
        if unmet:
            assert error is None, f"{what}: `apply` failed without a fault: {error!r}"
            return False
        assert error is not None, f"{what}: `apply` reports success, or tried again by itself"
        refuse_shown(self.harness, error)
        something_happened = self.changes() != before or self.truth() != truth
        _is_of_the_right_class(error, fault, what, something_happened=something_happened)
        return True


def _is_of_the_right_class(error: ActionError, fault: Fault, what: str, *, something_happened: bool) -> None:
    name = type(error).__name__
    if something_happened:
        assert name == "OutcomeUnknown", f"{what}: something happened at the gateway, yet the error is {name}"
    elif fault is Fault.RATE_LIMITED:
        assert name == "RetryLater", f"{what}: nothing happened and it says when to come back, yet the error is {name}"
    else:
        assert name in ("RetryLater", "OutcomeUnknown"), f"{what}: a fault that passes, yet the error is {name}"


def each_failure(
    harness: GatewayHarness, to: Restriction, restricted: Restriction | None
) -> Iterator[tuple[Scene, Fault, str]]:
    """Yield a scene for each fault at each request of one change, right after it failed; and the change's key.

    With `restricted` the account is brought to that restriction first.
    """
    for fault in Fault:
        for after in range(MAX_REQUESTS):
            scene = Scene(harness)
            if restricted:
                scene.apply(restricted)
            key = scene.new_key()
            if not scene.fail(to, fault, after, key):
                assert after, f"`{to}`: `apply` made no request at all"
                break
            yield scene, fault, key
        else:
            pytest.fail(f"`{to}`: `apply` made {MAX_REQUESTS} requests or more")
