"""Conformance: what a gateway says becomes the right events, and whatever else it says becomes none."""

# ruff: noqa: S101 - these are tests, and pytest rewrites their assertions
from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from paycordon.errors import ActionError, PayloadInvalid, SignatureInvalid
from paycordon.events import Event, Mode
from paycordon.gateways import Gateway, Message, NotCarried
from paycordon.testing.faults import Fault
from paycordon.testing.harness import GatewayHarness, Recorded, Statement
from paycordon.testing.payloads import CARD_NUMBER, UNKNOWN, damaged, replaced, walk
from paycordon.testing.secrecy import refuse_shown

# Statements damaged this close to their root are also delivered, so that `verify` meets them too.
_ENVELOPE_DEPTH = 2


def _message(harness: GatewayHarness, statement: Statement, gateway: Gateway[Any] | None = None) -> Message:
    (message,) = (gateway or harness.gateway).verify(harness.deliver(statement), harness.now)
    return message


def _events(harness: GatewayHarness, statement: Statement, gateway: Gateway[Any] | None = None) -> list[Event]:
    return _translated(gateway or harness.gateway, _message(harness, statement, gateway))


def _translated(gateway: Gateway[Any], message: Message) -> list[Event]:
    """Translate, and fetch first what a message only names."""
    try:
        return list(gateway.translate(message))
    except NotCarried:
        return list(gateway.translate(gateway.fetch(message)))


def _outright(gateway: Gateway[Any], message: Message) -> list[Event] | None:
    """Translate; none for a message that only names what it is about."""
    try:
        return list(gateway.translate(message))
    except NotCarried:
        return None


def _meaningful(harness: GatewayHarness) -> Iterator[tuple[str, Recorded]]:
    return ((name, recorded) for name, recorded in harness.corpus.items() if recorded.means)


def _events_or_invalid(harness: GatewayHarness, message: Message, what: str) -> list[Event]:
    """Translate, and fail on any error but PayloadInvalid and on events that cannot be stored."""
    try:
        events = list(harness.gateway.translate(message))
    except PayloadInvalid as error:
        refuse_shown(harness, error)
        return []
    except Exception as error:
        pytest.fail(f"{what}: `translate` raised {type(error).__name__} instead of PayloadInvalid")
    for event in events:
        _is_storable(event, what)
    return events


def _is_storable(event: Event, what: str) -> None:
    try:
        stored = Event.model_validate_json(event.model_dump_json())
    except ValueError as error:
        pytest.fail(f"{what}: an event of type `{event.type}` cannot be stored ({type(error).__name__})")
    assert stored == event, f"{what}: an event of type `{event.type}` is another one after storage"


class MeaningConformance:
    """Translation: types, ids, accounts, amounts, modes, and whatever can be wrong with a payload."""

    def test_each_recorded_statement_means_what_is_expected(self, harness: GatewayHarness) -> None:
        """Types in order, from this instance of this gateway, about the expected account and object."""
        gateway = harness.gateway
        for name, recorded in harness.corpus.items():
            events = _events(harness, recorded.statement)
            assert [str(e.type) for e in events] == [str(t) for t in recorded.means], (
                f"{name}: other events than expected"
            )
            for event in events:
                assert event.gateway == gateway.name, f"{name}: from another gateway"
                assert event.instance == gateway.instance, f"{name}: from another instance"
                assert event.mode is Mode.LIVE, f"{name}: not of the live mode"
                assert event.account.id == recorded.account, f"{name}: about another account"
                part = event.payout or event.dispute or event.payment
                assert (part.id if part else "") == recorded.about, f"{name}: about another payout, dispute or payment"
                assert event.amount == recorded.amount, f"{name}: another amount, or other units than minor ones"

    def test_times_are_plausible(self, harness: GatewayHarness) -> None:
        """Seconds are not taken for milliseconds, nor the other way round."""
        for name, recorded in _meaningful(harness):
            for event in _events(harness, recorded.statement):
                plausible = datetime(2010, 1, 1, tzinfo=UTC) < event.occurred_at < datetime(2100, 1, 1, tzinfo=UTC)
                assert plausible, f"{name}: happened at {event.occurred_at}"

    def test_ids_tell_statements_and_events_apart(self, harness: GatewayHarness) -> None:
        """Two different statements have different message ids, two events have different event ids."""
        messages = [_message(harness, r.statement).id for r in harness.corpus.values()]
        events = [e.id for _, r in _meaningful(harness) for e in _events(harness, r.statement)]
        assert len(set(messages)) == len(messages), "two statements have the same message id"
        assert len(set(events)) == len(events), "two events have the same id"

    def test_a_redelivery_is_recognised(self, harness: GatewayHarness) -> None:
        """Sent again, at another time and under another secret, a statement keeps its id and its events."""
        for name, recorded in harness.corpus.items():
            again = harness.deliver(recorded.statement, harness.now + timedelta(minutes=2), secret=1)
            first, second = _message(harness, recorded.statement), harness.gateway.verify(again, harness.now)[0]
            assert first.id == second.id, f"{name}: sent again, it has another message id"
            assert _translated(harness.gateway, first) == _translated(harness.gateway, second), f"{name}: sent again"

    def test_translating_is_pure(self, harness: GatewayHarness) -> None:
        """The same message gives equal events twice, is left as it was, and nobody is asked."""
        before = harness.faults.requests
        for name, recorded in harness.corpus.items():
            message = _message(harness, recorded.statement)
            as_it_was = copy.deepcopy(message)
            first, second = _outright(harness.gateway, message), _outright(harness.gateway, message)
            assert first == second, f"{name}: translated twice, it means something else"
            assert message == as_it_was, f"{name}: translating changed the message"
        assert harness.faults.requests == before, "`translate` spoke to the gateway"

    def test_the_order_of_arrival_does_not_matter(self, harness: GatewayHarness) -> None:
        """Gateways keep no order: what a statement means does not depend on those that came before it."""
        there, back = (harness.build(harness.secrets[:2], Mode.LIVE) for _ in range(2))
        recorded = list(harness.corpus.items())
        expected = {name: _events(harness, r.statement, there) for name, r in recorded}
        for name, r in reversed(recorded):
            assert _events(harness, r.statement, back) == expected[name], f"{name}: it depends on what came before"

    def test_an_unknown_type_yields_nothing(self, harness: GatewayHarness) -> None:
        """Gateways add types every month; one that the adapter does not know is not an error."""
        for name, recorded in harness.corpus.items():
            message = _message(harness, recorded.statement)
            body: Any = message.body
            for path, value in list(walk(message.body)):
                if value == message.type:
                    body = replaced(body, path, UNKNOWN)
            unknown = replace(message, type=UNKNOWN, body=body)
            try:
                events = list(harness.gateway.translate(unknown))
            except Exception as error:
                pytest.fail(f"{name}, of an unknown type: `translate` raised {type(error).__name__}")
            assert events == [], f"{name}, of an unknown type, yields events"

    def test_the_other_mode_yields_nothing(self, harness: GatewayHarness) -> None:
        """Test statements count at test instances only, as test events, and live ones at live instances only."""
        at_test = harness.build(harness.secrets[:2], Mode.TEST)
        for name, recorded in harness.corpus.items():
            test = harness.as_test(recorded.statement)
            assert _events(harness, test) == [], f"{name}: a test statement yields events at a live instance"
            assert _events(harness, recorded.statement, at_test) == [], f"{name}: a live statement at a test instance"
            events = _events(harness, test, at_test)
            assert [str(e.type) for e in events] == [str(t) for t in recorded.means], f"{name}, at a test instance"
            assert all(e.mode is Mode.TEST for e in events), f"{name}: a test instance yields live events"

    def test_damaged_statements_yield_events_or_payload_invalid(self, harness: GatewayHarness) -> None:
        """Every place of every statement, removed, nulled, retyped or unknown, raises no other error."""
        for name, recorded in harness.corpus.items():
            message = _message(harness, recorded.statement)
            for what, _, body in damaged(message.body):
                _events_or_invalid(harness, replace(message, body=body), f"{name}, {what}")

    def test_damaged_statements_are_verified_without_another_error(self, harness: GatewayHarness) -> None:
        """The envelope of a signed statement may lack anything: it is rejected, or its messages can be translated."""
        for name, recorded in harness.corpus.items():
            for what, path, statement in damaged(recorded.statement):
                if len(path) > _ENVELOPE_DEPTH:
                    continue
                try:
                    messages = list(harness.gateway.verify(harness.deliver(statement), harness.now))
                except SignatureInvalid as error:
                    refuse_shown(harness, error)
                    continue
                except Exception as error:
                    pytest.fail(f"{name}, {what}: `verify` raised {type(error).__name__} instead of SignatureInvalid")
                for message in messages:
                    _events_or_invalid(harness, message, f"{name}, {what}")

    def test_a_statement_without_what_it_is_about_is_not_guessed(self, harness: GatewayHarness) -> None:
        """With the account's id removed wherever it stands, no event about that account comes out."""
        for name, recorded in _meaningful(harness):
            message = _message(harness, recorded.statement)
            body: Any = message.body
            for path, value in list(walk(message.body)):
                if value == recorded.account:
                    body = replaced(body, path, None)
            for event in _events_or_invalid(harness, replace(message, body=body), f"{name}, without its account"):
                assert event.account.id not in ("None", "null", "unknown"), f"{name}: an account was made up"

    def test_events_survive_storage(self, harness: GatewayHarness) -> None:
        """Each event is the same after it was written as JSON and read back."""
        for name, recorded in _meaningful(harness):
            for event in _events(harness, recorded.statement):
                _is_storable(event, name)

    def test_a_card_number_is_never_repeated(self, harness: GatewayHarness) -> None:
        """Planted anywhere in a statement, a card number reaches neither an event nor what a log shows of an error."""
        for name, recorded in harness.corpus.items():
            message = _message(harness, recorded.statement)
            for path, _ in list(walk(message.body)):
                for planted in (CARD_NUMBER, int(CARD_NUMBER)):
                    body = cast("Statement", replaced(message.body, path, planted))
                    place = ".".join(map(str, path))
                    what = f"{name}, with a card number at `{place}`"
                    # A redaction that keeps part of the digits would pass here; the schema refuses those it can tell.
                    for event in _events_or_invalid(harness, replace(message, body=body), what):
                        text = event.model_dump_json(
                            exclude={"payout": {"amount"}, "dispute": {"amount"}, "payment": {"amount"}}
                        )
                        assert CARD_NUMBER not in text, f"{what}: an event holds it"

    def test_resolving_keeps_an_event_or_says_why_not(self, harness: GatewayHarness) -> None:
        """`resolve` returns the same event with more in it, or raises an ActionError, also when the gateway fails."""
        for name, recorded in _meaningful(harness):
            for event in _events(harness, recorded.statement):
                for fault in (None, *Fault):
                    self._resolve(harness, event, fault, f"{name}, resolved with fault {fault}")

    @staticmethod
    def _resolve(harness: GatewayHarness, event: Event, fault: Fault | None, what: str) -> None:
        if fault:
            harness.faults.add(fault)
        try:
            resolved = harness.gateway.resolve(event)
        except ActionError as error:
            refuse_shown(harness, error)
            return
        except Exception as error:
            pytest.fail(f"{what}: `resolve` raised {type(error).__name__} instead of an ActionError")
        finally:
            met = fault is not None and not harness.faults.clear()
        assert not met, f"{what}: `resolve` hid that it could not read"
        kept = {"id", "type", "gateway", "instance", "mode"}
        assert resolved.model_dump(include=kept) == event.model_dump(include=kept), f"{what}: it is another event"
        assert resolved.account.id == event.account.id, f"{what}: it is about another account"
        _is_storable(resolved, what)
