"""Faults seeded into the built-in formats: the kit catches each, for the right reason."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paycordon.errors import OutcomeUnknown, Refused, RetryLater
from paycordon.exchange.bundle import BundleRecipient
from paycordon.exchange.contract import Outgoing, Receipt, Recipient, Verb
from paycordon.exchange.post import PostRecipient
from paycordon.testing import Fault, RecipientConformance, RecipientHarness
from paycordon.testing.recipients import Told

from .test_conformance import BundleHarness, PostHarness


class TellsTwice(PostRecipient):
    """Takes a new key for each try."""

    def send(self, message: Outgoing) -> Receipt:
        TellsTwice.tries = getattr(TellsTwice, "tries", 0) + 1
        return super().send(replace(message, key=f"{message.key}-{TellsTwice.tries}"))


class SaysThatNothingHappened(PostRecipient):
    """Takes silence for a no."""

    def send(self, message: Outgoing) -> Receipt:
        try:
            return super().send(message)
        except OutcomeUnknown:
            raise RetryLater("no answer") from None


class RepeatsWhatItSent(PostRecipient):
    """Puts the content into its errors."""

    def send(self, message: Outgoing) -> Receipt:
        try:
            return super().send(message)
        except Refused as error:
            items = message.content.items if message.content else ()
            raise Refused(f"{error}: {[item.value for item in items]}") from None


class QuotesTheCause(PostRecipient):
    """Leaves the cause in its errors."""

    def send(self, message: Outgoing) -> Receipt:
        try:
            return super().send(message)
        except Refused:
            items = message.content.items if message.content else ()
            raise Refused("no") from ValueError([item.value for item in items])


class NeverGivesUp(PostRecipient):
    """Asks again after a refusal."""

    def send(self, message: Outgoing) -> Receipt:
        try:
            return super().send(message)
        except Refused as error:
            raise RetryLater(str(error)) from None


class AsksAtOnce(PostRecipient):
    """Does not keep to `Retry-After`."""

    def send(self, message: Outgoing) -> Receipt:
        try:
            return super().send(message)
        except RetryLater as error:
            raise RetryLater(str(error)) from None


class TakesWhatItCannot(BundleRecipient):
    """Answers feedback with a receipt."""

    def send(self, message: Outgoing) -> Receipt:
        return Receipt("fine") if message.verb is Verb.FEEDBACK else super().send(message)


class ComesBack(BundleRecipient):
    """Forgets what was taken back, so that what comes late is there again."""

    def _keep(self, said: Any) -> None:
        super()._keep({id_: each for id_, each in said.items() if not each.get("retracted")})


class TakesAllBack(BundleRecipient):
    """Takes back everything."""

    def send(self, message: Outgoing) -> Receipt:
        if message.verb is Verb.RETRACT:
            for id_ in ("ctr_1", "ctr_2"):
                super().send(replace(message, id=id_))
            return Receipt(message.id)
        return super().send(message)


class LosesWhatItCorrects(BundleRecipient):
    """Takes a correction without items for one that has none."""

    def send(self, message: Outgoing) -> Receipt:
        if message.verb is Verb.CORRECT and message.content and not message.content.items:
            return super().send(replace(message, verb=Verb.RETRACT, content=None))
        return super().send(message)


class Kit(RecipientConformance):
    """The kit, to be called test by test."""

    def harness(self) -> RecipientHarness:
        raise NotImplementedError


SEEDED: list[tuple[type[Recipient[Any]], str, tuple[Any, ...]]] = [
    (TellsTwice, "test_feedback_counts_once", ()),
    (SaysThatNothingHappened, "test_a_failed_request_is_made_up_for", (Fault.TIMEOUT_AFTER,)),
    (RepeatsWhatItSent, "test_a_refusal_is_put_before_a_person", (403,)),
    (QuotesTheCause, "test_a_refusal_is_put_before_a_person", (403,)),
    (NeverGivesUp, "test_a_refusal_is_put_before_a_person", (403,)),
    (AsksAtOnce, "test_who_asks_to_wait_is_given_time", (429,)),
    (TakesWhatItCannot, "test_what_it_cannot_be_told_it_refuses", ()),
    (ComesBack, "test_what_is_taken_back_is_gone_and_stays_gone", ()),
    (TakesAllBack, "test_others_stay_as_they_are", ()),
    (LosesWhatItCorrects, "test_an_objection_is_told_without_saying_all_again", ()),
]


@pytest.mark.parametrize(("kind", "test", "more"), SEEDED, ids=[kind.__name__ for kind, *_ in SEEDED])
def test_the_kit_catches_it(kind: type[Recipient[Any]], test: str, more: tuple[Any, ...], tmp_path: Path) -> None:
    honest = PostHarness if issubclass(kind, PostRecipient) else BundleHarness
    for caught in (False, True):
        harness = honest()
        harness.kind = kind if caught else kind.__mro__[1]
        (tmp_path / str(caught)).mkdir()
        with contextlib.closing(harness):
            run = getattr(Kit(), test)
            if not caught:
                run(Told(harness, tmp_path / str(caught)), *more)
                continue
            with pytest.raises((AssertionError, pytest.fail.Exception, RetryLater)):
                run(Told(harness, tmp_path / str(caught)), *more)
