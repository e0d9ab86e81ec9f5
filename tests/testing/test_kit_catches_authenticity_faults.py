"""Faults seeded into the tutorial adapter's `verify`: the kit catches each, and for the right reason."""

import hmac
import json
from datetime import UTC, datetime

import pytest
from acme_pay import SIGNATURE, AcmePay, AcmeSettings
from pydantic import SecretStr
from test_acme_pay import AcmeHarness

from paycordon.errors import SignatureInvalid
from paycordon.gateways import Delivery, Message
from paycordon.signatures import matches_any, require_fresh


def body_of(delivery):
    try:
        body = json.loads(delivery.body)
        return [Message(id=body["id"], type=body["type"], body=body)]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise SignatureInvalid("unreadable") from None


def secrets_of(gateway):
    return [secret.get_secret_value().encode() for secret in gateway.settings.webhook_secrets]


def resign(gateway, delivery, now):
    """The same delivery, signed anew with the gateway's first secret at a time."""
    time = str(int(now.timestamp()))
    digest = hmac.new(secrets_of(gateway)[0], f"{time}.".encode() + delivery.body, "sha256").hexdigest()
    return Delivery({"acme-signature": f"t={time},s={digest}"}, delivery.body)


class SkipsTheSignatureCheck(AcmePay):
    def verify(self, delivery, now):
        return super().verify(resign(self, delivery, now), now)


class AcceptsTheFuture(AcmePay):
    def verify(self, delivery, now):
        found = SIGNATURE.fullmatch(delivery.headers.get("acme-signature", ""))
        signed = datetime.fromtimestamp(int(found[1]), UTC) if found else now
        return super().verify(delivery, max(now, signed))


class AcceptsTheStale(AcmePay):
    def verify(self, delivery, now):
        found = SIGNATURE.fullmatch(delivery.headers.get("acme-signature", ""))
        signed = datetime.fromtimestamp(int(found[1]), UTC) if found else now
        return super().verify(delivery, min(now, signed))


class LeaksValueErrorOnJunk(AcmePay):
    def verify(self, delivery, now):
        fields = dict(field.split("=") for field in delivery.headers["acme-signature"].split(","))
        int(fields["t"])
        return super().verify(delivery, now)


class LeaksKeyErrorWithoutHeader(AcmePay):
    def verify(self, delivery, now):
        delivery.headers["acme-signature"]
        return super().verify(delivery, now)


class UsesOnlyTheFirstSecret(AcmePay):
    def __init__(self, instance, settings):
        only = settings.model_copy(update={"webhook_secrets": settings.webhook_secrets[:1]})
        super().__init__(instance, only)


class RemembersRetiredSecrets(AcmePay):
    seen = {}

    def __init__(self, instance, settings):
        for secret in settings.webhook_secrets:
            self.seen[secret.get_secret_value()] = secret
        super().__init__(instance, settings.model_copy(update={"webhook_secrets": tuple(self.seen.values())}))


class TakesTheSecretFromAHeader(AcmePay):
    def verify(self, delivery, now):
        brought = delivery.headers.get("x-acme-pay-webhook-secret")
        if not brought:
            return super().verify(delivery, now)
        settings = self.settings.model_copy(update={"webhook_secrets": (SecretStr(brought),)})
        return AcmePay(self.instance, settings).verify(delivery, now)


class ComparesTheBeginningOnly(AcmePay):
    def verify(self, delivery, now):
        found = SIGNATURE.fullmatch(delivery.headers.get("acme-signature", ""))
        if not found:
            raise SignatureInvalid("malformed")
        require_fresh(datetime.fromtimestamp(int(found[1]), UTC), now)
        for secret in secrets_of(self):
            digest = hmac.new(secret, found[1].encode() + b"." + delivery.body, "sha256").hexdigest()
            if digest[:8] == found[2][:8]:
                return body_of(delivery)
        raise SignatureInvalid("no match")


class ChecksTheBeginningOfTheBody(AcmePay):
    def verify(self, delivery, now):
        try:
            return super().verify(delivery, now)
        except SignatureInvalid:
            if delivery.headers.get("acme-signature") == self.last and delivery.body[:100] == self.body[:100]:
                return body_of(delivery)
            raise
        finally:
            self.last, self.body = delivery.headers.get("acme-signature"), delivery.body

    last, body = None, b""


class WritesTheBodyAnew(AcmePay):
    def verify(self, delivery, now):
        try:
            body = json.dumps(json.loads(delivery.body)).encode()
        except (ValueError, RecursionError):
            raise SignatureInvalid("unreadable") from None
        return super().verify(Delivery(delivery.headers, body), now)


class LeaksDecodingErrors(AcmePay):
    def verify(self, delivery, now):
        found = SIGNATURE.fullmatch(delivery.headers.get("acme-signature", ""))
        if not found or not matches_any(
            secrets_of(self), found[1].encode() + b"." + delivery.body, [bytes.fromhex(found[2])]
        ):
            raise SignatureInvalid("no match")
        delivery.body.decode()
        return super().verify(delivery, now)


class LeaksRecursionError(AcmePay):
    def verify(self, delivery, now):
        try:
            json.loads(delivery.body)
        except ValueError:
            raise SignatureInvalid("unreadable") from None
        return super().verify(delivery, now)


class LooksAtTheWallClock(AcmePay):
    def verify(self, delivery, now):
        return super().verify(delivery, datetime.now(UTC))


class ReturnsNothingInsteadOfRaising(AcmePay):
    def verify(self, delivery, now):
        try:
            return super().verify(delivery, now)
        except SignatureInvalid:
            return []


class ShowsTheSecretInItsError(AcmePay):
    def verify(self, delivery, now):
        try:
            return super().verify(delivery, now)
        except SignatureInvalid as error:
            raise SignatureInvalid(f"not signed with {secrets_of(self)[0].decode()}") from error


class LenientSettings(AcmeSettings):
    webhook_secrets: tuple[SecretStr, ...] = ()


class StartsWithoutSecrets(AcmePay):
    settings_type = LenientSettings


class LenientHarness(AcmeHarness):
    def build(self, secrets, mode):
        settings = LenientSettings.model_construct(
            adapter="acme_pay", mode=mode, url=self.simulator.url, webhook_secrets=tuple(map(SecretStr, secrets))
        )
        return StartsWithoutSecrets("acme", settings)


class AsksTheGatewayWhileVerifying(AcmePay):
    def verify(self, delivery, now):
        import requests

        requests.get(self.settings.url, timeout=5).close()
        return super().verify(delivery, now)


FAULTS = [
    (SkipsTheSignatureCheck, "test_a_foreign_secret_is_rejected", "foreign secret: `verify` accepted"),
    (AcceptsTheFuture, "test_the_time_of_signing_counts", "signed 16 minutes from now: `verify` accepted"),
    (AcceptsTheStale, "test_the_time_of_signing_counts", "signed -60 minutes from now: `verify` accepted"),
    (LeaksValueErrorOnJunk, "test_junk_in_a_signature_header_is_rejected_as_such", "raised ValueError"),
    (LeaksKeyErrorWithoutHeader, "test_a_delivery_without_its_signature_is_rejected", "raised KeyError"),
    (UsesOnlyTheFirstSecret, "test_every_configured_secret_is_accepted_during_a_rotation", "matches none"),
    (RemembersRetiredSecrets, "test_every_configured_secret_is_accepted_during_a_rotation", "a retired secret"),
    (TakesTheSecretFromAHeader, "test_a_secret_in_the_request_is_ignored", "secret in a header: `verify` accepted"),
    (ComparesTheBeginningOnly, "test_an_altered_signature_is_rejected", "one character of `acme-signature` changed"),
    (ChecksTheBeginningOfTheBody, "test_an_altered_body_is_rejected", "bit of the body changed: `verify` accepted"),
    (WritesTheBodyAnew, "test_the_exact_bytes_are_what_is_signed", "other spacing: `verify` rejected it"),
    (LeaksDecodingErrors, "test_a_signed_body_that_cannot_be_read_is_never_another_error", "raised UnicodeDecodeError"),
    (LeaksRecursionError, "test_a_signed_body_that_cannot_be_read_is_never_another_error", "raised RecursionError"),
    (LooksAtTheWallClock, "test_a_genuine_delivery_is_accepted", "too long ago or in the future"),
    (ReturnsNothingInsteadOfRaising, "test_a_foreign_secret_is_rejected", "accepted 0 message"),
    (ShowsTheSecretInItsError, "test_a_foreign_secret_is_rejected", "SignatureInvalid shows secret"),
    (AsksTheGatewayWhileVerifying, "test_verifying_speaks_to_nobody", "spoke to the gateway"),
]


@pytest.mark.parametrize(("adapter", "test", "why"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_kit_catches_it(adapter, test, why, simulator, kit_outcome, caught):
    assert kit_outcome(AcmeHarness(simulator), test) is None
    found = kit_outcome(AcmeHarness(simulator, adapter), test)
    assert found is not None, f"{adapter.__name__} passed `{test}`"
    assert why in found
    caught.append((adapter.__name__, test, found))


def test_the_kit_catches_an_adapter_that_starts_without_secrets(simulator, kit_outcome, caught):
    found = kit_outcome(LenientHarness(simulator), "test_no_start_without_secrets")
    assert "starts with 0 webhook secret(s)" in found
    caught.append((StartsWithoutSecrets.__name__, "test_no_start_without_secrets", found))
