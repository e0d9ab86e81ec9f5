"""Faults seeded into the tutorial adapter's `translate` and `resolve`: the kit catches each, for the right reason."""

import dataclasses
import time
from datetime import timedelta

import pytest
import requests
from acme_pay import TYPES, AcmePay
from pydantic import ValidationError
from test_acme_pay import AcmeHarness

from paycordon.errors import PayloadInvalid
from paycordon.events import Mode


def changed(event, **fields):
    return event.model_copy(update=fields)


class TranslatesAnUnknownTypeToAnError(AcmePay):
    def translate(self, message):
        if message.type not in TYPES:
            raise PayloadInvalid(f"`{message.type}` is unknown")
        return super().translate(message)


class TakesANearMissForItsType(AcmePay):
    def translate(self, message):
        known = next((known for known in TYPES if message.type.startswith(known)), message.type)
        return super().translate(dataclasses.replace(message, type=known))


class MutatesTheMessage(AcmePay):
    def translate(self, message):
        events = super().translate(message)
        message.body["seen"] = True
        return events


class AsksTheGatewayWhileTranslating(AcmePay):
    def translate(self, message):
        requests.get(self.settings.url, timeout=5).close()
        return super().translate(message)


class CountsItsEvents(AcmePay):
    count = 0

    def translate(self, message):
        self.count += 1
        return [changed(event, id=f"{event.id}-{self.count}") for event in super().translate(message)]


class CallsTheFirstSightOfAnAccountOnboarding(AcmePay):
    first = None

    def translate(self, message):
        for event in super().translate(message):
            self.first = self.first or event.id
            yield changed(event, extra={"first": True}) if event.id == self.first else event


class NamesEventsByTheirObject(AcmePay):
    def translate(self, message):
        return [changed(event, id=event.subject.id) for event in super().translate(message)]


class NamesMessagesByTheirTime(AcmePay):
    def verify(self, delivery, now):
        messages = super().verify(delivery, now)
        return [dataclasses.replace(m, id=delivery.headers["acme-signature"][:12]) for m in messages]


class TakesTestModeForLive(AcmePay):
    def translate(self, message):
        return super().translate(dataclasses.replace(message, body={**message.body, "live": True}))


class YieldsLiveEventsAtATestInstance(AcmePay):
    def translate(self, message):
        return [changed(event, mode=Mode.LIVE) for event in super().translate(message)]


class CountsInMajorUnits(AcmePay):
    def translate(self, message):
        for event in super().translate(message):
            if event.payout:
                amount = changed(event.payout.amount, minor=event.payout.amount.minor // 100)
                yield changed(event, payout=changed(event.payout, amount=amount))
            else:
                yield event


class TakesMillisecondsForSeconds(AcmePay):
    def translate(self, message):
        for event in super().translate(message):
            yield changed(event, occurred_at=event.occurred_at - timedelta(days=365 * 56))


class NamesItselfAsTheInstance(AcmePay):
    def translate(self, message):
        return [changed(event, instance=self.name) for event in super().translate(message)]


class TakesThePayoutForTheAccount(AcmePay):
    def translate(self, message):
        for event in super().translate(message):
            yield changed(event, account=changed(event.account, id=event.subject.id))


class LeaksKeyErrors(AcmePay):
    def translate(self, message):
        if message.type in TYPES:
            message.body["data"]["account"]
        return super().translate(message)


class LeaksOverflowErrors(AcmePay):
    def translate(self, message):
        if message.type in TYPES and isinstance(message.body.get("created"), int):
            time.gmtime(message.body["created"])
        return super().translate(message)


class LeaksValidationErrors(AcmePay):
    def translate(self, message):
        known = TYPES.get(message.type)
        if known is None or message.body.get("live") is not (self.settings.mode is Mode.LIVE):
            return []
        try:
            return [self._event(known, message)]
        except (KeyError, TypeError, OverflowError, OSError):
            raise PayloadInvalid("unreadable") from None


class RepeatsTheCardNumber(AcmePay):
    def translate(self, message):
        try:
            return super().translate(message)
        except PayloadInvalid:
            raise PayloadInvalid(f"cannot be read: {dict(message.body)}") from None


class RepeatsTheCardNumberInTheCause(AcmePay):
    def translate(self, message):
        try:
            return super().translate(message)
        except PayloadInvalid:
            raise PayloadInvalid("cannot be read") from ValueError(f"bad: {dict(message.body)}")


class HidesTheCardNumberFromTheSchema(AcmePay):
    def translate(self, message):
        for event in super().translate(message):
            yield event.model_copy(update={"extra": {"name": message.body["data"].get("name")}})

    def _event(self, known, message):
        data = {**message.body["data"], "name": "a name"} if "name" in message.body["data"] else message.body["data"]
        return super()._event(known, dataclasses.replace(message, body={**message.body, "data": data}))


class MakesUpAnAccount(AcmePay):
    def _event(self, known, message):
        data = {**message.body["data"], "account": str(message.body["data"].get("account"))}
        return super()._event(known, dataclasses.replace(message, body={**message.body, "data": data}))


class BuildsEventsThatCannotBeStored(AcmePay):
    def translate(self, message):
        for event in super().translate(message):
            yield changed(event, merchant=changed(event.merchant, name="x" * 5_000))


class ResolvesToAnotherEvent(AcmePay):
    def resolve(self, event):
        return changed(event, id=f"{event.id}-resolved")


class LeaksNetworkErrorsFromResolve(AcmePay):
    def resolve(self, event):
        requests.get(self.settings.url, timeout=0.1).raise_for_status()
        return event


class HidesThatItCouldNotResolve(AcmePay):
    def resolve(self, event):
        try:
            requests.get(self.settings.url, timeout=0.1).close()
        except requests.RequestException:
            return event
        return event


MEANS = "test_each_recorded_statement_means_what_is_expected"
DAMAGED = "test_damaged_statements_yield_events_or_payload_invalid"
CARDS = "test_a_card_number_is_never_repeated"
RESOLVED = "test_resolving_keeps_an_event_or_says_why_not"
FAULTS = [
    (TranslatesAnUnknownTypeToAnError, "test_an_unknown_type_yields_nothing", "raised PayloadInvalid"),
    (TakesANearMissForItsType, MEANS, "previewed: other events than expected"),
    (MutatesTheMessage, "test_translating_is_pure", "translating changed the message"),
    (AsksTheGatewayWhileTranslating, "test_translating_is_pure", "spoke to the gateway"),
    (CountsItsEvents, "test_translating_is_pure", "translated twice, it means something else"),
    (CountsItsEvents, "test_a_redelivery_is_recognised", "sent again"),
    (CallsTheFirstSightOfAnAccountOnboarding, "test_the_order_of_arrival_does_not_matter", "what came before"),
    (NamesEventsByTheirObject, "test_ids_tell_statements_and_events_apart", "two events have the same id"),
    (NamesMessagesByTheirTime, "test_a_redelivery_is_recognised", "it has another message id"),
    (NamesMessagesByTheirTime, "test_ids_tell_statements_and_events_apart", "the same message id"),
    (TakesTestModeForLive, "test_the_other_mode_yields_nothing", "a test statement yields events at a live instance"),
    (YieldsLiveEventsAtATestInstance, "test_the_other_mode_yields_nothing", "a test instance yields live events"),
    (CountsInMajorUnits, MEANS, "other units than minor ones"),
    (TakesMillisecondsForSeconds, "test_times_are_plausible", "happened at 1970"),
    (NamesItselfAsTheInstance, MEANS, "from another instance"),
    (TakesThePayoutForTheAccount, MEANS, "about another account"),
    (LeaksKeyErrors, DAMAGED, "raised KeyError"),
    (LeaksOverflowErrors, DAMAGED, "raised OverflowError"),
    (LeaksValidationErrors, DAMAGED, f"raised {ValidationError.__name__}"),
    (RepeatsTheCardNumber, CARDS, "PayloadInvalid shows a card number"),
    (RepeatsTheCardNumberInTheCause, CARDS, "PayloadInvalid shows a card number"),
    (HidesTheCardNumberFromTheSchema, CARDS, "an event of type `merchant.onboarding` cannot be stored"),
    (MakesUpAnAccount, "test_a_statement_without_what_it_is_about_is_not_guessed", "an account was made up"),
    (BuildsEventsThatCannotBeStored, "test_events_survive_storage", "cannot be stored (ValidationError)"),
    (ResolvesToAnotherEvent, RESOLVED, "it is another event"),
    (LeaksNetworkErrorsFromResolve, RESOLVED, "instead of an ActionError"),
    (HidesThatItCouldNotResolve, RESOLVED, "`resolve` hid that it could not read"),
]


@pytest.mark.parametrize(("adapter", "test", "why"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_kit_catches_it(adapter, test, why, simulator, kit_outcome, caught):
    assert kit_outcome(AcmeHarness(simulator), test) is None
    found = kit_outcome(AcmeHarness(simulator, adapter), test)
    assert found is not None, f"{adapter.__name__} passed `{test}`"
    assert why in found
    caught.append((adapter.__name__, test, found))
