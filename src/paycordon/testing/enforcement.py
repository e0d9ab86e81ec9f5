"""Conformance: restrictions are reached, are undone exactly, and what people do at the gateway is seen."""

# ruff: noqa: S101 - these are tests, and pytest rewrites their assertions
from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater
from paycordon.events import Subject
from paycordon.gateways import Change, Grade, Restriction, fenced
from paycordon.testing.faults import Fault
from paycordon.testing.harness import GatewayHarness
from paycordon.testing.scene import MAX_REQUESTS, Scene, each_failure, enforced, restored, through_json
from paycordon.testing.secrecy import refuse_shown


class EnforcementConformance:
    """Reading and applying while the gateway is well."""

    def test_capabilities_are_declared_in_full(self, harness: GatewayHarness) -> None:
        """Every restriction has its line, says how, and a partial one says what it does not stop."""
        for restriction in Restriction:
            if restriction is Restriction.NONE:
                continue
            support = harness.gateway.capabilities.get(restriction)
            assert support, f"`{restriction}` has no line in `capabilities`; say at least that it is not written"
            if support.grade in (Grade.FULL, Grade.PARTIAL):
                assert support.how, f"`{restriction}` does not say how it is enforced"
            if support.grade is Grade.PARTIAL or not support.reversible:
                assert support.limits, f"`{restriction}` is limited and does not say how"

    def test_what_is_not_declared_is_refused(self, harness: GatewayHarness) -> None:
        """A restriction that is impossible or not written is refused, and nothing changes."""
        for restriction in Restriction:
            if restriction is Restriction.NONE or restriction in enforced(harness):
                continue
            scene = Scene(harness)
            with pytest.raises(Refused):
                scene.gateway.apply(scene.subject, Change(restriction, scene.baseline.settings), scene.new_key())
            assert scene.truth() == scene.truth_before, f"`{restriction}` was refused and yet something changed"

    def test_reading_changes_nothing_and_repeats_itself(self, harness: GatewayHarness) -> None:
        """Two reads of an unchanged account are equal, its settings are JSON, an ordinary account is unrestricted."""
        scene = Scene(harness)
        assert scene.read() == scene.baseline, "two reads of an unchanged account differ"
        settings = scene.baseline.settings
        assert json.loads(json.dumps(dict(settings))) == dict(settings), "the settings change on their way through JSON"
        assert scene.changes() == 0, "reading changed the account"
        assert scene.baseline.restriction is scene.restriction(), (
            "`read` and the gateway disagree on an untouched account"
        )

    def test_each_declared_restriction_is_reached(self, harness: GatewayHarness) -> None:
        """After `apply` the adapter and the gateway itself agree that at least this much is stopped."""
        for restriction in enforced(harness):
            scene = Scene(harness)
            applied = scene.apply(restriction)
            assert scene.changes() > 0, f"`{restriction}`: nothing was changed at the gateway"
            if applied.expires_at is not None:
                assert applied.expires_at.utcoffset() is not None, (
                    f"`{restriction}`: the gateway's clock has no time zone"
                )
                clock = harness.gateway.capabilities[restriction].clock
                assert clock, f"`{restriction}` ends by itself and its capability does not say when"

    def test_applying_twice_changes_nothing_more(self, harness: GatewayHarness) -> None:
        """Under the same key and under another one, what is already so is left alone."""
        for restriction in enforced(harness):
            scene = Scene(harness)
            key = scene.new_key()
            first, changes = scene.apply(restriction, key), scene.changes()
            for again in (key, key, scene.new_key()):
                assert scene.apply(restriction, again).state == first.state, f"`{restriction}`, again: another state"
                assert scene.changes() == changes, f"`{restriction}`, again: the gateway was changed once more"

    def test_releasing_what_is_not_restricted_changes_nothing(self, harness: GatewayHarness) -> None:
        """Writing back a baseline that is already there is no change."""
        scene = Scene(harness)
        scene.release("without a restriction")
        assert scene.changes() == 0, "a release without a restriction changed the account"

    def test_release_restores_the_baseline_exactly(self, harness: GatewayHarness) -> None:
        """Whatever the settings were before, they are that again: not defaults, not what a new account has."""
        for restriction in restored(harness):
            for by_hand in (False, True):
                scene = Scene(harness, changed_by_hand=by_hand)
                scene.apply(restriction)
                scene.release(f"`{restriction}`")

    def test_stacked_restrictions_are_undone_exactly(self, harness: GatewayHarness) -> None:
        """Up and down through all restrictions, then up and out, with the one baseline that was read at first."""
        up = restored(harness)
        for by_hand in (False, True):
            scene = Scene(harness, changed_by_hand=by_hand)
            for steps in (up + up[-2::-1], up):
                for restriction in steps:
                    scene.apply(restriction)
                scene.release(" → ".join(steps))

    def test_a_lesser_restriction_lifts_what_only_the_greater_one_stops(self, harness: GatewayHarness) -> None:
        """Going down from a block to a hold leaves no more stopped than the hold itself would."""
        for lesser, greater in pairwise(restored(harness)):
            straight, down = Scene(harness), Scene(harness)
            straight.apply(lesser)
            down.apply(greater)
            down.apply(lesser)
            assert down.restriction() is straight.restriction(), f"`{greater}` → `{lesser}`: too much is still stopped"
            assert down.read().restriction is straight.read().restriction, f"`{greater}` → `{lesser}`: read otherwise"

    def test_what_a_person_changes_at_the_gateway_is_read(self, harness: GatewayHarness) -> None:
        """`read` asks the gateway each time, before and after a restriction, and remembers nothing."""
        for restriction in (None, *enforced(harness)):
            scene = Scene(harness)
            if restriction:
                scene.apply(restriction)
            state, truth = scene.read(), scene.truth()
            harness.change_by_hand(scene.subject)
            assert scene.truth() != truth, "the harness's `change_by_hand` changed nothing"
            assert scene.read() != state, f"after `{restriction}`, a change by hand is not read"
            assert scene.read().restriction is scene.restriction(), (
                f"after `{restriction}`, changed by hand: read otherwise"
            )

    def test_a_restriction_lifted_by_hand_is_put_back_and_released(self, harness: GatewayHarness) -> None:
        """After a person's change in between, a new change brings the restriction back, and release the baseline."""
        for restriction in restored(harness):
            scene = Scene(harness)
            scene.apply(restriction)
            harness.change_by_hand(scene.subject)
            scene.apply(restriction)
            scene.release(f"`{restriction}`, after a change by hand")

    def test_accounts_do_not_touch_each_other(self, harness: GatewayHarness) -> None:
        """Restricting one account leaves another as it was."""
        for restriction in enforced(harness):
            one, other = Scene(harness), Scene(harness)
            one.apply(restriction)
            assert other.truth() == other.truth_before, f"`{restriction}` of one account changed another"
            assert other.read() == other.baseline, f"`{restriction}` of one account is read at another"


class FenceConformance:
    """A worker whose lease has passed writes nothing more."""

    def test_behind_a_closed_fence_nothing_is_written(self, harness: GatewayHarness) -> None:
        """`apply` asks `check_fence` before its first write, on the way up and on the way down."""
        for restriction in enforced(harness):
            scene = Scene(harness)
            self._is_kept_out(scene, restriction, 0)
            assert scene.truth() == scene.truth_before, f"`{restriction}`: written although the fence was closed"
            scene.apply(restriction)
            changes = scene.changes()
            self._is_kept_out(scene, Restriction.NONE, 0)
            assert scene.changes() == changes, f"`{restriction}`: released although the fence was closed"

    def test_each_write_asks_the_fence(self, harness: GatewayHarness) -> None:
        """A fence that closes between two writes of one change lets no more than the earlier ones through."""
        for restriction in enforced(harness):
            for writes in range(MAX_REQUESTS):
                scene = Scene(harness)
                if not self._is_kept_out(scene, restriction, writes):
                    break
                assert scene.changes() <= writes, f"`{restriction}`: a write left without asking the fence"
            else:
                pytest.fail(f"`{restriction}`: `apply` asked the fence {MAX_REQUESTS} times or more")

    @staticmethod
    def _is_kept_out(scene: Scene, to: Restriction, lets_through: int) -> bool:
        """Apply behind a fence that closes after so many questions; tells whether it was asked once more."""
        asked: list[object] = []

        def fence(takes: object) -> bool:
            asked.append(takes)
            return len(asked) <= lets_through

        before = scene.changes()
        change = Change(to, through_json(scene.baseline.settings))
        error: ActionError | None = None
        with fenced(fence):
            try:
                scene.gateway.apply(scene.subject, change, scene.new_key())
            except ActionError as caught:
                error = caught
        if len(asked) <= lets_through:
            assert error is None, f"`{to}` behind an open fence: {error!r}"
            assert lets_through, f"`{to}`: `apply` wrote without a call of `check_fence`"
            return False
        expected = OutcomeUnknown if scene.changes() != before else RetryLater
        assert isinstance(error, expected | OutcomeUnknown), f"`{to}`: the closed fence ended in {error!r}"
        return True


class FailureConformance:
    """Reading and applying while the gateway fails at any request."""

    def test_a_failed_read_is_an_error_and_nothing_else(self, harness: GatewayHarness) -> None:
        """Nothing is assumed about an account that could not be read."""
        for fault in Fault:
            scene = Scene(harness)
            harness.faults.add(fault)
            error: Exception | None = None
            try:
                scene.read()
            except Exception as caught:
                error = caught
            harness.faults.clear()
            names = ("RetryLater",) if fault is Fault.RATE_LIMITED else ("RetryLater", "OutcomeUnknown")
            assert error is not None, f"`{fault}`: `read` returned something instead of raising"
            assert type(error).__name__ in names, f"`{fault}`: `read` raised {type(error).__name__}"
            refuse_shown(harness, error)
            assert scene.read() == scene.baseline, f"`{fault}`: the next read differs"

    def test_a_failed_change_settles_after_reading_and_trying_again(self, harness: GatewayHarness) -> None:
        """Each fault at each request: the right error, and after a read the same change goes through.

        The key stays the same, except after an error that was received: gateways replay those under their key.
        """
        for restriction in enforced(harness):
            for scene, fault, key in each_failure(harness, restriction, None):
                assert scene.read().restriction is scene.restriction(), f"`{restriction}`, `{fault}`: read otherwise"
                received = fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER)
                scene.apply(restriction, scene.new_key() if received else key)
                if restriction in restored(harness):
                    scene.release(f"`{restriction}` after `{fault}`")

    def test_a_change_that_failed_halfway_can_be_released(self, harness: GatewayHarness) -> None:
        """A hold that ends while its change is half done leaves nothing behind."""
        for restriction in restored(harness):
            for scene, fault, _ in each_failure(harness, restriction, None):
                scene.release(f"`{restriction}`, given up after `{fault}`")

    def test_a_failed_release_settles_after_trying_again(self, harness: GatewayHarness) -> None:
        """Each fault at each request of a release: the right error, then exactly the baseline."""
        for restriction in restored(harness):
            for scene, fault, key in each_failure(harness, Restriction.NONE, restriction):
                received = fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER)
                scene.release(f"`{restriction}`, `{fault}` at its release", scene.new_key() if received else key)


class SafetyConformance:
    """Ids from outside, accounts that are not there, and secrets."""

    def test_hostile_ids_are_refused_without_a_request(self, harness: GatewayHarness) -> None:
        """An id that means something in a URL never gets into one; another account could be hit."""
        victim = Scene(harness)
        good = victim.subject.account
        hostile = (
            *("..", "../..", ".", "/", "%2e%2e", "*", "\x00", "\r\nx: y", "{}", "%s", "٣"),
            *(
                f"{good}{tail}"
                for tail in ("/", "/close", "/../x", "?x=1", "#x", "%2fclose", ";x", " ", "\n", "\u200b")
            ),
            *(f"{head}{good}" for head in ("../", "x/../", "./", "//", "%2e%2e/", " ", "@")),
            f"x/../{good}/../{good}",
        )
        for account in hostile:
            subject = victim.subject.model_copy(update={"id": account, "account": account})
            requests = harness.faults.requests
            self._is_refused(harness, subject, victim)
            assert harness.faults.requests == requests, f"the account id {account!r} was sent to the gateway"
        assert victim.truth() == victim.truth_before, "a hostile id changed another account"

    def test_an_unknown_account_is_refused(self, harness: GatewayHarness) -> None:
        """What the gateway does not know will not appear by asking again: a person must look."""
        scene = Scene(harness)
        account = harness.unknown_account
        self._is_refused(harness, scene.subject.model_copy(update={"id": account, "account": account}), scene)

    @staticmethod
    def _is_refused(harness: GatewayHarness, subject: Subject, like: Scene) -> None:
        what = f"account id {subject.account[:40]!r}"
        calls: list[tuple[str, Callable[[], object]]] = [("read", partial(harness.gateway.read, subject))]
        for to in (Restriction.NONE, *enforced(harness)):
            change = Change(to, through_json(like.baseline.settings))
            calls.append((f"apply {to}", partial(harness.gateway.apply, subject, change, like.new_key())))
        for name, call in calls:
            try:
                call()
            except Refused as error:
                refuse_shown(harness, error)
            except Exception as error:
                pytest.fail(f"{what}: `{name}` raised {type(error).__name__} instead of Refused")
            else:
                pytest.fail(f"{what}: `{name}` went through")

    def test_no_secret_is_shown(self, harness: GatewayHarness) -> None:
        """Secrets and keys are in no text form of the adapter, its settings, messages or states."""
        gateway = harness.gateway
        recorded = next(iter(harness.corpus.values()))
        delivery = harness.deliver(recorded.statement)
        state = Scene(harness).baseline
        for thing in (gateway, gateway.settings, delivery, gateway.verify(delivery, harness.now)[0], state):
            refuse_shown(harness, f"{thing!r} {thing}")
        refuse_shown(harness, gateway.settings.model_dump_json())
