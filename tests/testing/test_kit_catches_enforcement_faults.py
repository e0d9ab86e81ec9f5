"""Faults seeded into how the tutorial adapter reads and applies: the kit catches each, for the right reason."""

import contextlib
import itertools

import acme_pay
import pytest
import requests
from acme_pay import MANUAL, AcmePay
from test_acme_pay import AcmeHarness

from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater
from paycordon.gateways import Applied, Change, GatewayState, Grade, Restriction, Support


class WritesNothing(AcmePay):
    def _call(self, method, subject, body=None, key=""):
        return super()._call("GET", subject)


class ReportsWhatItWasAskedFor(AcmePay):
    def apply(self, subject, change, key):
        super().apply(subject, Change(Restriction.NONE, change.baseline), key)
        return Applied(GatewayState(change.to, acme_pay._wanted(change)))


class WritesEachTime(AcmePay):
    numbers = itertools.count()

    def apply(self, subject, change, key):
        self._call("POST", subject, {"nickname": f"held {next(self.numbers)}"}, f"{key}/{next(self.numbers)}")
        return super().apply(subject, change, key)


class ReleasesToADefault(AcmePay):
    def apply(self, subject, change, key):
        daily = {"payout_schedule": {"interval": "daily"}, "payments": True}
        return super().apply(subject, Change(change.to, daily), key)


class ForgetsThePaymentsAtRelease(AcmePay):
    def apply(self, subject, change, key):
        if change.to is Restriction.NONE:
            now = self.read(subject).settings["payments"]
            change = Change(change.to, {**change.baseline, "payments": now})
        return super().apply(subject, change, key)


class LeavesPaymentsOffWhenOnlyHolding(AcmePay):
    def apply(self, subject, change, key):
        if change.to is Restriction.PAYOUTS_HELD:
            now = self.read(subject).settings["payments"]
            change = Change(change.to, {**change.baseline, "payments": now})
        return super().apply(subject, change, key)


class LeavesANoteBehind(AcmePay):
    def apply(self, subject, change, key):
        self._call("POST", subject, {"nickname": "was held"}, f"{key}/note")
        return super().apply(subject, change, key)


class ReleasesOnlyWhatItRemembers(AcmePay):
    def __init__(self, instance, settings):
        super().__init__(instance, settings)
        self.held = set()

    def apply(self, subject, change, key):
        if change.to is Restriction.NONE and subject.account not in self.held:
            return Applied(self.read(subject))
        applied = super().apply(subject, change, key)
        self.held.add(subject.account)
        return applied


class ReturnsTheLastWrittenState(AcmePay):
    def __init__(self, instance, settings):
        super().__init__(instance, settings)
        self.written = {}

    def read(self, subject):
        return self.written.get(subject.account) or super().read(subject)

    def apply(self, subject, change, key):
        self.written.pop(subject.account, None)
        applied = super().apply(subject, change, key)
        self.written[subject.account] = applied.state
        return applied


class CachesReadsOfAllAccountsAsOne(AcmePay):
    state = None

    def read(self, subject):
        return self.state or super().read(subject)

    def apply(self, subject, change, key):
        self.state = None
        applied = super().apply(subject, change, key)
        self.state = applied.state
        return applied


class ReadsItsClockIntoTheSettings(AcmePay):
    numbers = itertools.count()

    def read(self, subject):
        state = super().read(subject)
        return GatewayState(state.restriction, {**state.settings, "read": next(self.numbers)})


class KeepsSettingsThatAreNotJson(AcmePay):
    def read(self, subject):
        state = super().read(subject)
        return GatewayState(state.restriction, {**state.settings, "read": (1, 2)})


class CallsEverythingRestricted(AcmePay):
    def read(self, subject):
        return GatewayState(Restriction.BLOCKED, super().read(subject).settings)


class Rethrows(AcmePay):
    """Maps one error class to another at the single place where requests are made."""

    said, instead = ActionError, ActionError

    def _call(self, method, subject, body=None, key=""):
        try:
            return super()._call(method, subject, body, key)
        except self.said as error:
            raise self.instead("mapped wrongly") from error


class SaysNothingHappenedAfterAnError(Rethrows):
    said, instead = OutcomeUnknown, RetryLater


class RefusesForGoodWhenAskedToSlowDown(Rethrows):
    said, instead = RetryLater, Refused


class AsksAgainForAnUnknownAccount(Rethrows):
    said, instead = Refused, RetryLater


class ShowsItsKeyInErrors(AcmePay):
    def _call(self, method, subject, body=None, key=""):
        try:
            return super()._call(method, subject, body, key)
        except Refused as error:
            raise Refused(f"refused for {self.settings.api_key.get_secret_value()}") from error


class TakesATimeOutForSuccess(AcmePay):
    def _call(self, method, subject, body=None, key=""):
        if method == "GET":
            return super()._call(method, subject)
        with contextlib.suppress(OutcomeUnknown):
            super()._call(method, subject, body, key)
        return None


class TriesAgainByItself(AcmePay):
    def _call(self, method, subject, body=None, key=""):
        try:
            return super()._call(method, subject, body, key)
        except RetryLater:
            return super()._call(method, subject, body, key)


class ForgetsThatPartWasWritten(AcmePay):
    def apply(self, subject, change, key):
        try:
            return super().apply(subject, change, key)
        except OutcomeUnknown as error:
            raise error.__cause__ or error from None


class LeaksNetworkErrors(Rethrows):
    said, instead = RetryLater, requests.ConnectionError


class TakesAFailedReadForUnrestricted(AcmePay):
    def read(self, subject):
        try:
            return super().read(subject)
        except RetryLater:
            return GatewayState(Restriction.NONE, {})


class PutsIdsIntoUrlsUnescaped(AcmePay):
    def _call(self, method, subject, body=None, key=""):
        headers = {"authorization": f"Bearer {self.settings.api_key.get_secret_value()}", "idempotency-key": key}
        url = f"{self.settings.url}/v1/accounts/{subject.account}"
        try:
            answer = requests.request(method, url, json=body, headers=headers, timeout=0.1)
        except (requests.RequestException, ValueError):
            raise Refused("no answer") from None
        if answer.status_code != 200:
            raise Refused("no such account")
        return answer.json()


class SharesOneKeyAmongItsRequests(AcmePay):
    def _call(self, method, subject, body=None, key=""):
        return super()._call(method, subject, body, key.split("/")[0])


class RestrictsTheWholePlatform(AcmePay):
    def __init__(self, instance, settings):
        super().__init__(instance, settings)
        self.accounts = {}

    def _call(self, method, subject, body=None, key=""):
        self.accounts[subject.account] = subject
        for other in self.accounts.values() if method == "POST" else ():
            super()._call(method, other, body, f"{key}/{other.account}")
        return super()._call(method, subject, body, key)


HELD = AcmePay.capabilities[Restriction.PAYOUTS_HELD]


class QuietlyDoesNothingForABlock(AcmePay):
    capabilities = {
        Restriction.PAYOUTS_HELD: HELD,
        Restriction.BLOCKED: Support(Grade.NOT_WRITTEN, "", limits="payments go on"),
    }

    def apply(self, subject, change, key):
        if change.to is Restriction.BLOCKED:
            return Applied(self.read(subject))
        return super().apply(subject, change, key)


class DeclaresNothingAboutBlocks(AcmePay):
    capabilities = {Restriction.PAYOUTS_HELD: HELD}


class ClaimsABlockThatOnlyHolds(AcmePay):
    def apply(self, subject, change, key):
        if change.to is Restriction.BLOCKED:
            change = Change(Restriction.PAYOUTS_HELD, change.baseline)
        return super().apply(subject, change, key)


class TakesAManualScheduleForABlock(ClaimsABlockThatOnlyHolds):
    def read(self, subject):
        state = super().read(subject)
        held = state.settings["payout_schedule"] == MANUAL
        return GatewayState(Restriction.BLOCKED if held else Restriction.NONE, state.settings)


class ShowsItsKey(AcmePay):
    def __repr__(self):
        return f"AcmePay({self.settings.api_key.get_secret_value()})"


REACHED = "test_each_declared_restriction_is_reached"
TWICE = "test_applying_twice_changes_nothing_more"
RELEASED = "test_release_restores_the_baseline_exactly"
READ = "test_reading_changes_nothing_and_repeats_itself"
FAILED = "test_a_failed_change_settles_after_reading_and_trying_again"
FAILED_READ = "test_a_failed_read_is_an_error_and_nothing_else"
HALFWAY = "test_a_change_that_failed_halfway_can_be_released"
BY_HAND = "test_what_a_person_changes_at_the_gateway_is_read"
UNDECLARED = "test_what_is_not_declared_is_refused"
FAULTS = [
    (WritesNothing, REACHED, "the adapter says it is only none"),
    (ReportsWhatItWasAskedFor, REACHED, "is not what `read` returns afterwards"),
    (WritesEachTime, TWICE, "the gateway was changed once more"),
    (ReleasesToADefault, RELEASED, "the gateway's settings are not as they were before"),
    (ForgetsThePaymentsAtRelease, RELEASED, "`blocked`: released, the gateway's settings are not"),
    (ForgetsThePaymentsAtRelease, "test_stacked_restrictions_are_undone_exactly", "are not as they were before"),
    (LeavesANoteBehind, RELEASED, "the gateway's settings are not as they were before"),
    (LeavesANoteBehind, "test_releasing_what_is_not_restricted_changes_nothing", "not as they were before"),
    (LeavesPaymentsOffWhenOnlyHolding, "test_a_lesser_restriction_lifts_what_only_the_greater_one_stops", "too much"),
    (ReleasesOnlyWhatItRemembers, HALFWAY, "given up after"),
    (ReturnsTheLastWrittenState, BY_HAND, "after `payouts_held`, a change by hand is not read"),
    (CachesReadsOfAllAccountsAsOne, "test_accounts_do_not_touch_each_other", "is read at another"),
    (ReadsItsClockIntoTheSettings, READ, "two reads of an unchanged account differ"),
    (KeepsSettingsThatAreNotJson, READ, "change on their way through JSON"),
    (CallsEverythingRestricted, READ, "`read` and the gateway disagree"),
    (SaysNothingHappenedAfterAnError, FAILED, "something happened at the gateway, yet the error is RetryLater"),
    (RefusesForGoodWhenAskedToSlowDown, FAILED, "yet the error is Refused"),
    (TakesATimeOutForSuccess, FAILED, "`apply` reports success"),
    (TriesAgainByItself, FAILED, "or tried again by itself"),
    (ForgetsThatPartWasWritten, FAILED, "something happened at the gateway, yet the error is RetryLater"),
    (LeaksNetworkErrors, FAILED_READ, "`read` raised ConnectionError"),
    (TakesAFailedReadForUnrestricted, FAILED_READ, "`read` returned something instead of raising"),
    (AsksAgainForAnUnknownAccount, "test_an_unknown_account_is_refused", "raised RetryLater instead of Refused"),
    (ShowsItsKeyInErrors, "test_an_unknown_account_is_refused", "Refused shows secret or credential number 3"),
    (PutsIdsIntoUrlsUnescaped, "test_hostile_ids_are_refused_without_a_request", "was sent to the gateway"),
    (SharesOneKeyAmongItsRequests, REACHED, "part of the change was made"),
    (RestrictsTheWholePlatform, "test_accounts_do_not_touch_each_other", "changed another"),
    (QuietlyDoesNothingForABlock, UNDECLARED, "DID NOT RAISE"),
    (DeclaresNothingAboutBlocks, "test_capabilities_are_declared_in_full", "`blocked` has no line"),
    (ClaimsABlockThatOnlyHolds, REACHED, "`blocked`: the adapter says it is only payouts_held"),
    (TakesAManualScheduleForABlock, REACHED, "`blocked`: the gateway only does `payouts_held`"),
    (ShowsItsKey, "test_no_secret_is_shown", "a text shows secret or credential number 3"),
]


@pytest.mark.parametrize(("adapter", "test", "why"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_kit_catches_it(adapter, test, why, simulator, kit_outcome, caught):
    found = kit_outcome(AcmeHarness(simulator, adapter), test)
    assert found is not None, f"{adapter.__name__} passed `{test}`"
    assert why in found
    caught.append((adapter.__name__, test, found))


def test_the_kit_passes_the_adapter_without_faults(simulator, kit_outcome, kit_tests):
    assert {test: kit_outcome(AcmeHarness(simulator), test) for test in kit_tests} == dict.fromkeys(kit_tests)
