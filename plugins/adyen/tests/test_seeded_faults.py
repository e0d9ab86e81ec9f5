"""Faults seeded into the adapter, each a mistake an adapter can make: the conformance kit catches every one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from Adyen.util import is_valid_hmac_notification, is_valid_hmac_payload

from paycordon.errors import OutcomeUnknown, RetryLater, SignatureInvalid
from paycordon.events import Mode
from paycordon.gateways import Applied, Change, GatewayState, Message, Restriction
from paycordon.testing import GatewayConformance
from paycordon_adyen import acts, deliveries
from paycordon_adyen.deliveries import ITEM, ITEMS
from paycordon_adyen.gateway import AdyenGateway
from paycordon_adyen.restrictions import AccountSettings

from .conftest import NotificationHarness


class Kit(GatewayConformance):
    """The kit, with a harness handed over by hand."""


def why_it_fails(harness, test):
    """Run one test of the kit; return why it failed, or nothing when it passed."""
    run = getattr(Kit(), test)  # a test of another name is a mistake of this list, and no fault caught
    try:
        run(harness)
    except (Exception, pytest.fail.Exception) as error:
        return str(error).splitlines()[0] or type(error).__name__
    finally:
        harness.faults.clear()
    return None


def only_on_platform(gateway, delivery, keys, check):
    body = json.loads(delivery.body)
    if not any(check(key, body) for key in keys):
        raise SignatureInvalid("no key matches")
    return [Message(deliveries._platform_id(body["type"], body), body["type"], body)]


class TrustsAnySignature(AdyenGateway):
    def verify(self, delivery, now):
        return only_on_platform(self, delivery, [""], lambda *_: True)


class KnowsTheFirstKeyOnly(AdyenGateway):
    def verify(self, delivery, now):
        return deliveries.verify(delivery, self._keys[:1], ())


class VerifiesAsTheVendorsHelperDoes(AdyenGateway):
    """No header is a TypeError, and whatever else comes."""

    def verify(self, delivery, now):
        keys = [key.hex() for key in self._keys]
        given = delivery.headers.get("hmacsignature")
        return only_on_platform(self, delivery, keys, lambda key, _: is_valid_hmac_payload(given, key, delivery.body))


class VerifiesWhatItHasReadAnew(AdyenGateway):
    def verify(self, delivery, now):
        try:
            body = json.dumps(json.loads(delivery.body)).encode()
        except (ValueError, RecursionError):
            raise SignatureInvalid("not JSON") from None
        return super().verify(replace(delivery, body=body), now)


class NamesMessagesByTheirSignature(AdyenGateway):
    def verify(self, delivery, now):
        header = delivery.headers.get("hmacsignature", "")
        return [replace(message, id=f"{message.id}-{header[:8]}") for message in super().verify(delivery, now)]


class NamesTransfersWithoutTheirNumber(AdyenGateway):
    def verify(self, delivery, now):
        return [replace(each, id=each.id.rpartition(":")[0] or each.id) for each in super().verify(delivery, now)]


class MixesTheModes(AdyenGateway):
    def translate(self, message):
        own = "live" if self.settings.mode is Mode.LIVE else "test"
        return super().translate(replace(message, body={**message.body, "environment": own}))


class TakesCentsForUnits(AdyenGateway):
    def translate(self, message):
        for event in super().translate(message):
            amount = event.amount
            part = event.payout and event.payout.model_copy(
                update={"amount": amount.model_copy(update={"minor": amount.minor * 100})}
            )
            yield event.model_copy(update={"payout": part})


class TakesInternalTransfersForPayouts(AdyenGateway):
    def translate(self, message):
        data = message.body.get("data")
        if isinstance(data, dict) and data.get("category") == "internal":
            message = replace(message, body={**message.body, "data": {**data, "category": "bank"}})
        return super().translate(message)


class CountsWhatIsNotCaptured(AdyenGateway):
    def translate(self, message):
        data = message.body.get("data")
        if isinstance(data, dict) and data.get("type") == "capture":
            message = replace(message, body={**message.body, "data": {**data, "status": "captured"}})
        return super().translate(message)


class TripsOverOddShapes(AdyenGateway):
    def translate(self, message):
        if message.type.startswith("balancePlatform.transfer."):
            assert message.body["data"]["amount"]["value"] >= 0
        return super().translate(message)


class TakesTheBalanceAccountForTheAccount(AdyenGateway):
    def fetch(self, message):
        return replace(message, body={**message.body, "paycordonFetched": {"accountHolder": "BA00000000SIM1"}})


class HoldsNothing(AdyenGateway):
    def apply(self, subject, change, key):
        return Applied(GatewayState(change.to, self.read(subject).settings))


class ActivatesEverySweep(AdyenGateway):
    def apply(self, subject, change, key):
        if change.to is Restriction.NONE:
            every = sorted(self._acts._looked_at(subject.account)[1])
            change = Change(change.to, {**change.baseline, "sweeps": every})
        return super().apply(subject, change, key)


class ForgetsTheSweeps(AdyenGateway):
    def apply(self, subject, change, key):
        if change.to is Restriction.NONE:
            now = self.read(subject).settings["sweeps"]
            change = Change(change.to, {**change.baseline, "sweeps": now})
        return super().apply(subject, change, key)


class LeavesCapabilitiesOff(AdyenGateway):
    def apply(self, subject, change, key):
        if change.to is Restriction.NONE:
            now = self.read(subject).settings["capabilities"]
            change = Change(change.to, {**change.baseline, "capabilities": now})
        return super().apply(subject, change, key)


class LeavesItSuspended(AdyenGateway):
    def apply(self, subject, change, key):
        if change.to is Restriction.NONE:
            now = self.read(subject).settings["status"]
            change = Change(change.to, {**change.baseline, "status": now})
        return super().apply(subject, change, key)


class BlocksOnlyPayouts(AdyenGateway):
    def apply(self, subject, change, key):
        to = Restriction.PAYOUTS_HELD if change.to is Restriction.BLOCKED else change.to
        return super().apply(subject, Change(to, change.baseline), key)


class ReadsTheClockIntoTheSettings(AdyenGateway):
    def read(self, subject):
        state = super().read(subject)
        return GatewayState(state.restriction, {**state.settings, "read_at": datetime.now(UTC).isoformat()})


class RemembersWhatItRead(AdyenGateway):
    def read(self, subject):
        known = self.__dict__.setdefault("known", {})
        return known.setdefault(subject.account, super().read(subject))


class CallsTheUnknownUndone(AdyenGateway):
    def apply(self, subject, change, key):
        try:
            return super().apply(subject, change, key)
        except OutcomeUnknown as error:
            raise RetryLater(str(error)) from None


class RetriesByItself(AdyenGateway):
    def apply(self, subject, change, key):
        try:
            return super().apply(subject, change, key)
        except (RetryLater, OutcomeUnknown):
            return super().apply(subject, change, key)


class ShowsItsKey(AdyenGateway):
    def read(self, subject):
        try:
            return super().read(subject)
        except RetryLater as error:
            raise RetryLater(f"{error} with {self.settings.api_key.get_secret_value()}") from None


class LetsTheTransportsErrorsThrough(AdyenGateway):
    def read(self, subject):
        self._sdk.balancePlatform.account_holders_api.get_account_holder(subject.account)
        return super().read(subject)


class ResolvesIntoAnotherAccount(AdyenGateway):
    def resolve(self, event):
        found = super().resolve(event)
        return found.model_copy(update={"account": found.account.model_copy(update={"id": "AH00000000OTHER0001"})})


CAUGHT_BY = {
    TrustsAnySignature: "test_a_foreign_secret_is_rejected",
    KnowsTheFirstKeyOnly: "test_every_configured_secret_is_accepted_during_a_rotation",
    VerifiesAsTheVendorsHelperDoes: "test_a_delivery_without_its_signature_is_rejected",
    VerifiesWhatItHasReadAnew: "test_the_exact_bytes_are_what_is_signed",
    NamesMessagesByTheirSignature: "test_a_redelivery_is_recognised",
    NamesTransfersWithoutTheirNumber: "test_ids_tell_statements_and_events_apart",
    MixesTheModes: "test_the_other_mode_yields_nothing",
    TakesCentsForUnits: "test_each_recorded_statement_means_what_is_expected",
    TakesInternalTransfersForPayouts: "test_each_recorded_statement_means_what_is_expected",
    CountsWhatIsNotCaptured: "test_each_recorded_statement_means_what_is_expected",
    TripsOverOddShapes: "test_damaged_statements_yield_events_or_payload_invalid",
    TakesTheBalanceAccountForTheAccount: "test_each_recorded_statement_means_what_is_expected",
    HoldsNothing: "test_each_declared_restriction_is_reached",
    ActivatesEverySweep: "test_release_restores_the_baseline_exactly",
    ForgetsTheSweeps: "test_release_restores_the_baseline_exactly",
    LeavesCapabilitiesOff: "test_release_restores_the_baseline_exactly",
    LeavesItSuspended: "test_release_restores_the_baseline_exactly",
    BlocksOnlyPayouts: "test_each_declared_restriction_is_reached",
    ReadsTheClockIntoTheSettings: "test_reading_changes_nothing_and_repeats_itself",
    RemembersWhatItRead: "test_what_a_person_changes_at_the_gateway_is_read",
    CallsTheUnknownUndone: "test_a_failed_change_settles_after_reading_and_trying_again",
    RetriesByItself: "test_a_failed_change_settles_after_reading_and_trying_again",
    ShowsItsKey: "test_a_failed_read_is_an_error_and_nothing_else",
    LetsTheTransportsErrorsThrough: "test_a_failed_read_is_an_error_and_nothing_else",
    ResolvesIntoAnotherAccount: "test_resolving_keeps_an_event_or_says_why_not",
}


@pytest.mark.parametrize("variant", CAUGHT_BY, ids=lambda variant: variant.__name__)
def test_the_kit_catches_it(make_harness, variant):
    why = why_it_fails(make_harness(variant), CAUGHT_BY[variant])
    assert why


class VerifiesTheFirstItemOnly(AdyenGateway):
    """As the vendor's helper does with a batch."""

    def verify(self, delivery, now):
        try:
            body = json.loads(delivery.body)
            right = any(is_valid_hmac_notification(body, key.hex()) for key in self._keys)
        except Exception:
            right = False
        if not right:
            raise SignatureInvalid("the first item is not authentic")
        return [deliveries._item_message(each[ITEM], body["live"]) for each in body[ITEMS]]


class NeedsWhatIsNotSigned(AdyenGateway):
    def translate(self, message):
        for event in super().translate(message):
            yield event.model_copy(update={"id": f"{event.id}:{message.body[ITEM]['reason']}"})


class SignsNothingOfTheAmount(AdyenGateway):
    def verify(self, delivery, now):
        body = json.loads(delivery.body)
        for each in body.get(ITEMS, []):
            each[ITEM]["amount"] = {"currency": "EUR", "value": 4_200}
        return super().verify(replace(delivery, body=json.dumps(body).encode()), now)


class TrustsTheLiveFlag(AdyenGateway):
    def translate(self, message):
        own = "true" if self.settings.mode is Mode.LIVE else "false"
        return super().translate(replace(message, body={**message.body, "live": own}))


CAUGHT_IN_NOTIFICATIONS_BY = {
    VerifiesTheFirstItemOnly: "test_a_batch_with_one_forged_item_is_rejected",
    NeedsWhatIsNotSigned: "test_damaged_statements_yield_events_or_payload_invalid",
    SignsNothingOfTheAmount: "test_an_altered_signed_field_is_rejected",
    TrustsTheLiveFlag: "test_the_other_mode_yields_nothing",
}


@pytest.mark.parametrize("variant", CAUGHT_IN_NOTIFICATIONS_BY, ids=lambda variant: variant.__name__)
def test_the_kit_catches_it_in_notifications(make_harness, variant):
    harness = make_harness(variant, NotificationHarness)

    why = why_it_fails(harness, CAUGHT_IN_NOTIFICATIONS_BY[variant])
    assert why


def test_the_kit_catches_hostile_ids_in_paths(make_harness, monkeypatch):
    monkeypatch.setattr(acts, "account_holder_id", lambda subject: subject.account)

    assert why_it_fails(make_harness(), "test_hostile_ids_are_refused_without_a_request")


def test_the_kit_catches_writes_without_the_fence(make_harness, monkeypatch):
    monkeypatch.setattr(acts, "check_fence", lambda _: None)

    assert why_it_fails(make_harness(), "test_behind_a_closed_fence_nothing_is_written")


def test_the_kit_catches_a_lesser_restriction_that_lifts_too_little(make_harness, monkeypatch):
    original = AccountSettings.restricted_to

    def stays_blocked(self, to, now):
        if to is Restriction.PAYOUTS_HELD and now.restriction is Restriction.BLOCKED:
            return now
        return original(self, to, now)

    monkeypatch.setattr(AccountSettings, "restricted_to", stays_blocked)
    assert why_it_fails(make_harness(), "test_a_lesser_restriction_lifts_what_only_the_greater_one_stops")


def test_the_list_is_of_thirty_or_more():
    assert len(CAUGHT_BY) + len(CAUGHT_IN_NOTIFICATIONS_BY) + 3 >= 30
