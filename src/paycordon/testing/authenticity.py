"""Conformance: a delivery counts only when the gateway signed it, lately, and all of it."""

# ruff: noqa: S101 - these are tests, and pytest rewrites their assertions
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from paycordon.errors import ConfigError, PayloadInvalid, SignatureInvalid
from paycordon.events import Mode
from paycordon.gateways import Delivery, Gateway, Message
from paycordon.testing.harness import GatewayHarness, Recorded
from paycordon.testing.payloads import altered, damaged, flipped, junk_values, odd_bodies, replaced, walk
from paycordon.testing.secrecy import refuse_shown

# No signature of any strength is shorter than this many characters.
_SIGNATURE_LENGTH = 32


def _is_rejected(harness: GatewayHarness, delivery: Delivery, what: str, gateway: Gateway[Any] | None = None) -> None:
    try:
        messages = list((gateway or harness.gateway).verify(delivery, harness.now))
    except SignatureInvalid as error:
        refuse_shown(harness, error)
    except Exception as error:
        pytest.fail(f"{what}: `verify` raised {type(error).__name__} instead of SignatureInvalid")
    else:
        pytest.fail(f"{what}: `verify` accepted {len(messages)} message(s)")


def _is_harmless(harness: GatewayHarness, delivery: Delivery, what: str) -> None:
    """Check that a delivery is rejected, or read, but nothing else."""
    try:
        messages: Sequence[Message] = list(harness.gateway.verify(delivery, harness.now))
    except SignatureInvalid as error:
        refuse_shown(harness, error)
        return
    except Exception as error:
        pytest.fail(f"{what}: `verify` raised {type(error).__name__} instead of SignatureInvalid")
    for message in messages:
        try:
            list(harness.gateway.translate(message))
        except PayloadInvalid as error:
            refuse_shown(harness, error)
        except Exception as error:
            pytest.fail(f"{what}: `translate` raised {type(error).__name__} instead of PayloadInvalid")


def _samples(harness: GatewayHarness) -> list[tuple[str, Recorded]]:
    """Some of the corpus: what is true of the signature of one statement is true of every one."""
    return list(harness.corpus.items())[:3]


def _ends_with(path: tuple[str | int, ...], field: str) -> bool:
    return f".{'.'.join(map(str, path))}".endswith(f".{field}")


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value}1"


class AuthenticityConformance:
    """Signatures: what is accepted, and everything that is not."""

    def test_a_genuine_delivery_is_accepted(self, harness: GatewayHarness) -> None:
        """Each recorded statement, signed with the first secret, is one message."""
        for name, recorded in harness.corpus.items():
            messages = harness.gateway.verify(harness.deliver(recorded.statement), harness.now)
            assert len(messages) == 1, f"{name}: one statement became {len(messages)} messages"
            assert messages[0].id, f"{name}: the message has no id"
            assert messages[0].type, f"{name}: the message has no type"

    def test_every_configured_secret_is_accepted_during_a_rotation(self, harness: GatewayHarness) -> None:
        """The old and the new secret are valid together, and only they."""
        for name, recorded in _samples(harness):
            for index in (0, 1):
                delivery = harness.deliver(recorded.statement, secret=index)
                assert harness.gateway.verify(delivery, harness.now), f"{name}: secret {index} is not accepted"
            retired = harness.build(harness.secrets[1:2], Mode.LIVE)
            _is_rejected(harness, harness.deliver(recorded.statement), f"{name}, signed with a retired secret", retired)

    def test_a_foreign_secret_is_rejected(self, harness: GatewayHarness) -> None:
        """A signature under a secret that is not configured counts for nothing."""
        for name, recorded in _samples(harness):
            _is_rejected(
                harness, harness.deliver(recorded.statement, secret=2), f"{name}, signed with a foreign secret"
            )

    def test_a_secret_in_the_request_is_ignored(self, harness: GatewayHarness) -> None:
        """Secrets come from the configuration only; a sender cannot bring its own."""
        foreign = harness.secrets[2]
        names = ("secret", "webhook-secret", "x-webhook-secret", "authorization", "x-api-key", "x-hub-secret")
        own = f"x-{harness.gateway.name.replace('_', '-')}-webhook-secret"
        for name, recorded in _samples(harness):
            delivery = harness.deliver(recorded.statement, secret=2)
            headers = {**dict.fromkeys((*names, own), foreign), **delivery.headers}
            _is_rejected(harness, Delivery(headers, delivery.body), f"{name}, with its foreign secret in a header")

    def test_an_altered_body_is_rejected(self, harness: GatewayHarness) -> None:
        """Whatever the signature covers cannot be changed by as much as one bit."""
        for name, recorded in _samples(harness):
            delivery = harness.deliver(recorded.statement)
            for body in flipped(delivery.body):
                changed = Delivery(delivery.headers, body)
                if harness.signed_fields is None:
                    _is_rejected(harness, changed, f"{name}, with one bit of the body changed")
                else:
                    _is_harmless(harness, changed, f"{name}, with one bit of the body changed")

    def test_an_altered_signed_field_is_rejected(self, harness: GatewayHarness) -> None:
        """Where the signature covers some fields only, each of those cannot be changed."""
        for name, recorded in _samples(harness):
            delivery = harness.deliver(recorded.statement)
            whole = json.loads(delivery.body)
            for field in harness.signed_fields or ():
                places = [(path, value) for path, value in walk(whole) if _ends_with(path, field)]
                assert places, f"{name}: the harness says `{field}` is signed, and the body has no such field"
                for path, value in places:
                    changed = Delivery(delivery.headers, json.dumps(replaced(whole, path, _other(value))).encode())
                    _is_rejected(harness, changed, f"{name}, with `{field}` changed")

    def test_the_exact_bytes_are_what_is_signed(self, harness: GatewayHarness) -> None:
        """Other spacing and order of the same JSON are as genuine: the body is not written anew before the check."""
        for name, recorded in _samples(harness):
            body = json.loads(harness.wrap(recorded.statement))
            other = json.dumps(body, indent=3, sort_keys=True, ensure_ascii=False).encode()
            delivery = harness.sign(other, harness.now, harness.secrets[0])
            try:
                harness.gateway.verify(delivery, harness.now)
            except SignatureInvalid:
                pytest.fail(f"{name}, written with other spacing: `verify` rejected it")

    def test_an_altered_signature_is_rejected(self, harness: GatewayHarness) -> None:
        """Every character of a signature header counts."""
        for name, recorded in _samples(harness):
            delivery = harness.deliver(recorded.statement)
            for header, value in delivery.headers.items():
                if len(value) < _SIGNATURE_LENGTH:
                    continue
                for other in altered(value):
                    changed = Delivery({**delivery.headers, header: other}, delivery.body)
                    _is_rejected(harness, changed, f"{name}, with one character of `{header}` changed")

    def test_a_delivery_without_its_signature_is_rejected(self, harness: GatewayHarness) -> None:
        """No header, no other header in its place, and no signature inside an unsigned body."""
        for name, recorded in _samples(harness):
            body = harness.wrap(recorded.statement)
            genuine = harness.deliver(recorded.statement)
            _is_rejected(harness, Delivery({}, body), f"{name}, without headers")
            for header, value in genuine.headers.items():
                others = {k: v for k, v in genuine.headers.items() if k != header}
                if len(value) >= _SIGNATURE_LENGTH:
                    _is_rejected(harness, Delivery(others, genuine.body), f"{name}, without `{header}`")

    def test_junk_in_a_signature_header_is_rejected_as_such(self, harness: GatewayHarness) -> None:
        """Some two dozen kinds of junk are a SignatureInvalid, never an error of another kind."""
        name, recorded = _samples(harness)[0]
        delivery = harness.deliver(recorded.statement)
        for header, genuine in delivery.headers.items():
            for what, junk in junk_values(genuine):
                changed = Delivery({**delivery.headers, header: junk}, delivery.body)
                if len(genuine) >= _SIGNATURE_LENGTH:
                    _is_rejected(harness, changed, f"{name}, `{header}` is {what}")
                else:
                    _is_harmless(harness, changed, f"{name}, `{header}` is {what}")

    def test_a_body_damaged_on_its_way_is_never_another_error(self, harness: GatewayHarness) -> None:
        """A signed body with parts removed or retyped afterwards is rejected, or read where nothing signed changed."""
        name, recorded = _samples(harness)[0]
        delivery = harness.deliver(recorded.statement)
        for what, _, body in damaged(json.loads(delivery.body)):
            changed = Delivery(delivery.headers, json.dumps(body).encode())
            check = _is_rejected if harness.signed_fields is None else _is_harmless
            check(harness, changed, f"{name}, {what}")

    def test_a_signed_body_that_cannot_be_read_is_never_another_error(self, harness: GatewayHarness) -> None:
        """A valid signature does not make a body readable: it is rejected or read, and nothing else is raised."""
        genuine = harness.wrap(_samples(harness)[0][1].statement)
        for what, body in odd_bodies(genuine):
            delivery = harness.sign(body, harness.now, harness.secrets[0])
            _is_harmless(harness, delivery, f"a signed body that is {what}")

    def test_the_time_of_signing_counts(self, harness: GatewayHarness) -> None:
        """Old deliveries and deliveries from the future are rejected where the scheme signs the time."""
        for name, recorded in _samples(harness):
            for minutes in (-1, 0, 1):
                at = harness.now + timedelta(minutes=minutes)
                assert harness.gateway.verify(harness.deliver(recorded.statement, at), harness.now), f"{name}, {at}"
            for minutes in (-60, -16, 16, 60, 60 * 24 * 365):
                delivery = harness.deliver(recorded.statement, harness.now + timedelta(minutes=minutes))
                if harness.signs_time:
                    _is_rejected(harness, delivery, f"{name}, signed {minutes} minutes from now")
                else:
                    assert harness.gateway.verify(delivery, harness.now), f"{name}: this scheme has no time"

    def test_a_batch_with_one_forged_item_is_rejected(self, harness: GatewayHarness) -> None:
        """Where each statement of a batch is signed by itself, each is verified, wherever it stands."""
        if not harness.batches:
            return
        (_, first), (_, second), (_, third) = _samples(harness)
        statements = (first.statement, second.statement, third.statement)
        genuine, foreign = harness.secrets[0], harness.secrets[2]
        whole = harness.sign_each([(s, genuine) for s in statements], harness.now)
        assert len(harness.gateway.verify(whole, harness.now)) == len(statements), "a batch lost some of its statements"
        for forged in range(len(statements)):
            items = [(s, foreign if i == forged else genuine) for i, s in enumerate(statements)]
            delivery = harness.sign_each(items, harness.now)
            _is_rejected(harness, delivery, f"a batch of {len(items)} whose item {forged} is forged")

    def test_no_start_without_secrets(self, harness: GatewayHarness) -> None:
        """There is no off switch: no secret, or an empty one, stops the start."""
        genuine = harness.secrets[0]
        for secrets in ((), ("",), (genuine, "")):
            try:
                harness.build(secrets, Mode.LIVE)
            except (ConfigError, ValidationError) as error:
                refuse_shown(harness, error)
            else:
                pytest.fail(
                    f"the adapter starts with {len(secrets)} webhook secret(s), one of them empty or none at all"
                )

    def test_verifying_speaks_to_nobody(self, harness: GatewayHarness) -> None:
        """Verification is pure: the gateway is not asked, and the same delivery gives the same answer."""
        before = harness.faults.requests
        for name, recorded in harness.corpus.items():
            delivery = harness.deliver(recorded.statement)
            first, second = (harness.gateway.verify(replace(delivery), harness.now) for _ in range(2))
            assert list(first) == list(second), f"{name}: verified twice, it is not the same"
        assert harness.faults.requests == before, "`verify` spoke to the gateway"
