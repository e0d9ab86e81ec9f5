"""The kit fits gateways that sign each statement of a batch, over a few fields, without a time."""

import hmac
import json

import pytest
from acme_pay import AcmePay
from test_acme_pay import AcmeHarness

from paycordon.errors import SignatureInvalid
from paycordon.gateways import Delivery, Message
from paycordon.signatures import matches_any
from paycordon.testing import GatewayConformance, GatewayHarness
from paycordon.testing.authenticity import AuthenticityConformance
from paycordon.testing.meaning import MeaningConformance

SIGNED = ("id", "type", "live", "created")


def signed_text(statement):
    return ":".join(json.dumps(statement.get(name)) for name in SIGNED).encode()


class BatchedAcme(AcmePay):
    """Acme Pay, were it to send `{"items": [{"statement": …, "signature": …}]}`."""

    def verify(self, delivery, now):
        try:
            items = json.loads(delivery.body)["items"]
            return [self.message(item) for item in items]
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise SignatureInvalid("the body is not a batch") from None

    def message(self, item):
        secrets = [secret.get_secret_value().encode() for secret in self.settings.webhook_secrets]
        statement = item["statement"]
        if not matches_any(secrets, signed_text(statement), [bytes.fromhex(item["signature"])]):
            raise SignatureInvalid("an item's signature matches none of the configured secrets")
        if not all(isinstance(statement[name], str) and statement[name] for name in ("id", "type")):
            raise SignatureInvalid("an item has no id or no type")
        return Message(id=statement["id"], type=statement["type"], body=statement)


class ChecksOnlyTheFirstItem(BatchedAcme):
    def verify(self, delivery, now):
        items = json.loads(delivery.body)["items"]
        self.message(items[0])
        return [Message(id=i["statement"]["id"], type=i["statement"]["type"], body=i["statement"]) for i in items]


class ChecksUntilOneIsGenuine(BatchedAcme):
    def verify(self, delivery, now):
        genuine, error = [], SignatureInvalid("an empty batch")
        for item in json.loads(delivery.body)["items"]:
            try:
                genuine.append(self.message(item))
            except SignatureInvalid as forged:
                error = forged
        if not genuine:
            raise error
        return genuine


class LeavesAFieldUnsigned(BatchedAcme):
    def message(self, item):
        try:
            return super().message(item)
        except SignatureInvalid:
            again = super().message({**item, "statement": {**item["statement"], "created": 1_772_452_000}})
            return Message(again.id, again.type, item["statement"])


class BatchHarness(AcmeHarness):
    signs_time = False
    batches = True
    signed_fields = frozenset(f"statement.{name}" for name in SIGNED)

    def wrap(self, *statements):
        return json.dumps({"items": [{"statement": statement} for statement in statements]}).encode()

    def sign(self, body, at, secret):
        try:
            batch = json.loads(body)
            for item in batch["items"]:
                item["signature"] = hmac.new(secret.encode(), signed_text(item["statement"]), "sha256").hexdigest()
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return Delivery({}, body)
        return Delivery({}, json.dumps(batch).encode())

    def sign_each(self, items, at):
        signed = [
            json.loads(self.sign(self.wrap(statement), at, secret).body)["items"][0] for statement, secret in items
        ]
        return Delivery({}, json.dumps({"items": signed}).encode())


def test_a_sound_batch_adapter_passes(simulator, kit_outcome, kit_tests):
    of_the_scheme = [t for t in kit_tests if hasattr(AuthenticityConformance, t) or hasattr(MeaningConformance, t)]
    assert len(of_the_scheme) > 25
    found = {test: kit_outcome(BatchHarness(simulator, BatchedAcme), test) for test in of_the_scheme}
    assert found == dict.fromkeys(of_the_scheme)


FORGED = "test_a_batch_with_one_forged_item_is_rejected"
FAULTS = [
    (ChecksOnlyTheFirstItem, FORGED, "item 1 is forged: `verify` accepted 3 message(s)"),
    (ChecksUntilOneIsGenuine, FORGED, "item 0 is forged: `verify` accepted 2 message(s)"),
    (LeavesAFieldUnsigned, "test_an_altered_signed_field_is_rejected", "with `statement.created` changed"),
    (AcmePay, "test_a_genuine_delivery_is_accepted", "`acme-signature` is missing or malformed"),
]


@pytest.mark.parametrize(("adapter", "test", "why"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_kit_catches_it(adapter, test, why, simulator, kit_outcome, caught):
    found = kit_outcome(BatchHarness(simulator, adapter), test)
    assert found is not None, f"{adapter.__name__} passed `{test}`"
    assert why in found
    caught.append((adapter.__name__, test, found))


def test_a_harness_that_names_a_field_the_body_lacks_is_told(simulator, kit_outcome):
    harness = BatchHarness(simulator, BatchedAcme)
    harness.signed_fields = frozenset({"statement.amount"})
    assert "no such field" in kit_outcome(harness, "test_an_altered_signed_field_is_rejected")


def test_no_test_of_the_kit_can_be_redefined():
    with pytest.raises(TypeError, match="`test_an_unknown_account_is_refused` belongs to the kit"):

        class Sly(GatewayConformance):
            def test_an_unknown_account_is_refused(self, harness: GatewayHarness) -> None:
                pass
