"""Ten thousand deliveries that somebody has altered on their way, at the door: none gets in, none is answered 5xx."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random

from paycordon.errors import PayloadInvalid
from paycordon.gateways import Delivery, NotCarried
from paycordon.intake import Answer, Intake
from paycordon.metrics import Metrics
from paycordon.testing.clock import NOON
from paycordon_adyen.deliveries import ITEM, ITEMS, signed_text

from .conftest import INSTANCE, batch, holder, item, said, signed_body, signed_item, transfer

COUNT = 10_000
INSERTED = (
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"1e999",
    b"\\ud800",
    b"4242424242424242",
)


class NoStore:
    """What is let through would be stored here; the door reaches it only for what it takes for authentic."""

    def write(self):
        raise AssertionError("an altered delivery was taken for authentic")


def genuine():
    bodies = [
        said("balancePlatform.transfer.created", transfer()),
        said("balancePlatform.accountHolder.updated", {"accountHolder": holder()}),
    ]
    yield from (signed_body(json.dumps(body).encode()) for body in bodies)
    codes = ("CHARGEBACK", "AUTHORISATION")
    yield Delivery({}, batch(*[signed_item(item(code, pspReference=f"PSP{code}")) for code in codes]))


def altered(delivery, random):
    """Return the delivery with its body, or one of its headers, changed in one to four places."""
    body, headers = bytearray(delivery.body), dict(delivery.headers)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(body) + 1)
        match random.randrange(6):
            case 0 if at < len(body):
                body[at] ^= 1 << random.randrange(8)
            case 1:
                body[at : at + random.randint(0, 40)] = random.choice(INSERTED)
            case 2:
                body[at:at] = body[at // 2 : at // 2 + random.randint(1, 60)]
            case 3:
                del body[at:]
            case 4 if headers:
                name = random.choice(sorted(headers))
                value = list(headers[name] or "x")
                value[random.randrange(len(value))] = random.choice("Aa0+/= \x00é")
                headers[name] = "".join(value)
            case _:
                headers.pop(random.choice([*headers, "x"]), None)
    return Delivery(headers, bytes(body))


def is_unchanged(delivery, original):
    """Tell whether everything that Adyen has signed is as Adyen has signed it."""
    if ITEMS not in json.loads(original.body):
        same = delivery.headers.get("hmacsignature") == original.headers["hmacsignature"]
        return same and delivery.body == original.body
    signed = [signed_text(each[ITEM]) for each in json.loads(original.body)[ITEMS]]
    found = [signed_text(each[ITEM]) for each in json.loads(delivery.body)[ITEMS]]
    # An item may be missing or come twice: each is signed by itself, and has its own id to be known by.
    return set(found) <= set(signed)


def test_altered_deliveries(make_gateway):
    random, gateway, originals = Random(7), make_gateway(), list(genuine())
    door = Intake({INSTANCE: gateway}, NoStore(), lambda: NOON, Metrics())
    answers, accepted = set(), 0
    for number in range(COUNT):
        original = originals[number % len(originals)]
        delivery = altered(original, random)
        try:
            messages = gateway.verify(delivery, NOON)
        except Exception:  # of what kind it is, the door says below
            answers.add(door.take(gateway, delivery))
            continue
        accepted += 1
        assert is_unchanged(delivery, original), f"delivery {number} was altered and got in"
        for message in messages:
            with suppress(PayloadInvalid, NotCarried):
                list(gateway.translate(message))

    assert answers == {Answer.SIGNATURE_INVALID}
    assert accepted < COUNT / 4
