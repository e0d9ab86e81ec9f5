"""Faults seeded into the adapter, each a mistake an adapter can make: the conformance kit catches every one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import stripe

from paycordon.errors import OutcomeUnknown, RetryLater, SignatureInvalid
from paycordon.events import Mode
from paycordon.gateways import Applied, Change, GatewayState, Message, Restriction
from paycordon.testing import GatewayConformance
from paycordon_stripe import acts, deliveries
from paycordon_stripe.gateway import StripeGateway
from paycordon_stripe.restrictions import AccountSettings, Schedule
from paycordon_stripe.simulator import StripeSimulator


class Kit(GatewayConformance):
    """The kit, with a harness handed over by hand."""


def why_it_fails(harness, test):
    """Run one test of the kit; return why it failed, or nothing when it passed."""
    try:
        getattr(Kit(), test)(harness)
    except (Exception, pytest.fail.Exception) as error:
        return str(error).splitlines()[0] or type(error).__name__
    finally:
        harness.faults.clear()
    return None


class TrustsAnySignature(StripeGateway):
    def verify(self, delivery, now):
        event = json.loads(delivery.body)
        return [Message(event["id"], event["type"], event)]


class KnowsTheFirstSecretOnly(StripeGateway):
    def verify(self, delivery, now):
        return deliveries.verify(delivery, [self.settings.webhook_secrets[0].get_secret_value()], now)


class VerifiesAsTheVendorsHelperDoes(StripeGateway):
    """No check of the future, and whatever errors come."""

    def verify(self, delivery, now):
        for secret in self.settings.webhook_secrets:
            try:
                header = delivery.headers.get("stripe-signature")
                stripe.WebhookSignature.verify_header(delivery.body.decode(), header, secret.get_secret_value())
            except stripe.SignatureVerificationError:
                continue
            event = json.loads(delivery.body)
            return [Message(event["id"], event["type"], event)]
        raise SignatureInvalid("no signature matches")


class NamesMessagesByArrival(StripeGateway):
    def verify(self, delivery, now):
        header = delivery.headers["stripe-signature"]
        return [replace(message, id=f"{message.id}-{header[:14]}") for message in super().verify(delivery, now)]


class MixesTheModes(StripeGateway):
    def translate(self, message):
        return super().translate(replace(message, body={**message.body, "livemode": self.settings.mode is Mode.LIVE}))


class TakesCentsForUnits(StripeGateway):
    def translate(self, message):
        for event in super().translate(message):
            amount = event.amount
            part = event.payout and event.payout.model_copy(
                update={"amount": amount.model_copy(update={"minor": amount.minor * 100})}
            )
            yield event.model_copy(update={"payout": part})


class TripsOverOddShapes(StripeGateway):
    def translate(self, message):
        if message.type.startswith("payout."):
            assert message.body["data"]["object"]["destination"].startswith("ba_")
        return super().translate(message)


class StumblesWhereTheAccountIsMissing(StripeGateway):
    def translate(self, message):
        known = message.body if "account" in message.body else {**message.body, "account": "unknown"}
        return super().translate(replace(message, body=known))


class HoldsNothing(StripeGateway):
    def apply(self, subject, change, key):
        return Applied(GatewayState(change.to, self.read(subject).settings))


class ReleasesToDaily(StripeGateway):
    def apply(self, subject, change, key):
        baseline = {**change.baseline, "schedule": {"interval": "daily", "delay_days": 2}}
        return super().apply(subject, Change(change.to, baseline), key)


class ForgetsTheSecondPayoutDay(StripeGateway):
    def apply(self, subject, change, key):
        schedule = {name: value for name, value in change.baseline["schedule"].items() if name != "weekly_payout_days"}
        return super().apply(subject, Change(change.to, {**change.baseline, "schedule": schedule}), key)


class LeavesCapabilitiesOff(StripeGateway):
    def apply(self, subject, change, key):
        if change.to is Restriction.NONE:
            now = self.read(subject).settings["capabilities"]
            change = Change(change.to, {**change.baseline, "capabilities": now})
        return super().apply(subject, change, key)


class BlocksOnlyPayouts(StripeGateway):
    def apply(self, subject, change, key):
        to = Restriction.PAYOUTS_HELD if change.to is Restriction.BLOCKED else change.to
        return super().apply(subject, Change(to, change.baseline), key)


class TellsAnUnlimitedHoldWithoutZone(StripeGateway):
    def apply(self, subject, change, key):
        applied = super().apply(subject, change, key)
        return replace(applied, expires_at=applied.expires_at and applied.expires_at.replace(tzinfo=None))


class ReadsTheClockIntoTheSettings(StripeGateway):
    def read(self, subject):
        state = super().read(subject)
        return GatewayState(state.restriction, {**state.settings, "read_at": datetime.now(UTC).isoformat()})


class RemembersWhatItRead(StripeGateway):
    def read(self, subject):
        known = self.__dict__.setdefault("known", {})
        return known.setdefault(subject.account, super().read(subject))


class CallsTheUnknownUndone(StripeGateway):
    def apply(self, subject, change, key):
        try:
            return super().apply(subject, change, key)
        except OutcomeUnknown as error:
            raise RetryLater(str(error)) from None


class RetriesByItself(StripeGateway):
    def apply(self, subject, change, key):
        try:
            return super().apply(subject, change, key)
        except (RetryLater, OutcomeUnknown):
            return super().apply(subject, change, key)


class ShowsItsKey(StripeGateway):
    def read(self, subject):
        try:
            return super().read(subject)
        except RetryLater as error:
            raise RetryLater(f"{error} with {self.settings.api_key.get_secret_value()}") from None


class LetsTheSdksErrorsThrough(StripeGateway):
    def read(self, subject):
        self._acts._client.v1.accounts.retrieve(subject.account)
        return super().read(subject)


CAUGHT_BY = {
    TrustsAnySignature: "test_a_foreign_secret_is_rejected",
    KnowsTheFirstSecretOnly: "test_every_configured_secret_is_accepted_during_a_rotation",
    VerifiesAsTheVendorsHelperDoes: "test_the_time_of_signing_counts",
    NamesMessagesByArrival: "test_a_redelivery_is_recognised",
    MixesTheModes: "test_the_other_mode_yields_nothing",
    TakesCentsForUnits: "test_each_recorded_statement_means_what_is_expected",
    TripsOverOddShapes: "test_damaged_statements_yield_events_or_payload_invalid",
    StumblesWhereTheAccountIsMissing: "test_each_recorded_statement_means_what_is_expected",
    HoldsNothing: "test_each_declared_restriction_is_reached",
    ReleasesToDaily: "test_release_restores_the_baseline_exactly",
    ForgetsTheSecondPayoutDay: "test_release_restores_the_baseline_exactly",
    LeavesCapabilitiesOff: "test_release_restores_the_baseline_exactly",
    BlocksOnlyPayouts: "test_each_declared_restriction_is_reached",
    TellsAnUnlimitedHoldWithoutZone: "test_each_declared_restriction_is_reached",
    ReadsTheClockIntoTheSettings: "test_reading_changes_nothing_and_repeats_itself",
    RemembersWhatItRead: "test_what_a_person_changes_at_the_gateway_is_read",
    CallsTheUnknownUndone: "test_a_failed_change_settles_after_reading_and_trying_again",
    RetriesByItself: "test_a_failed_change_settles_after_reading_and_trying_again",
    ShowsItsKey: "test_a_failed_read_is_an_error_and_nothing_else",
    LetsTheSdksErrorsThrough: "test_a_failed_read_is_an_error_and_nothing_else",
}


@pytest.mark.parametrize("variant", CAUGHT_BY, ids=lambda variant: variant.__name__)
def test_the_kit_catches_it(make_harness, variant):
    assert why_it_fails(make_harness(variant), CAUGHT_BY[variant])


def test_the_kit_catches_hostile_ids_in_paths(make_harness, monkeypatch):
    monkeypatch.setattr(acts, "account_id", lambda subject: subject.account)

    with StripeSimulator() as elsewhere:  # what is sent there is unlawful, which another test would notice first
        harness = type(make_harness())(elsewhere)
        assert why_it_fails(harness, "test_hostile_ids_are_refused_without_a_request")


def test_the_kit_catches_delays_left_as_a_person_set_them(make_harness, monkeypatch):
    def without_delay(self, to, now):
        wanted = original(self, to, now)
        schedule = Schedule(**{**wanted.schedule.model_dump(), "delay_days": None})
        return AccountSettings(schedule=schedule, capabilities=wanted.capabilities)

    original = AccountSettings.restricted_to
    monkeypatch.setattr(AccountSettings, "restricted_to", without_delay)

    assert why_it_fails(make_harness(), "test_a_restriction_lifted_by_hand_is_put_back_and_released")


def test_the_kit_catches_a_window_that_is_too_wide(make_harness, monkeypatch):
    def lenient(signed_at, now):
        if abs(now - signed_at) > timedelta(days=1):
            raise SignatureInvalid("too old")

    monkeypatch.setattr(deliveries, "require_fresh", lenient)

    assert why_it_fails(make_harness(), "test_the_time_of_signing_counts")
