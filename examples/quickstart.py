"""An honest payout, one that the coalition's knowledge stops, and a guarded Stripe client.

    python examples/quickstart.py

Runs on this machine alone: a temporary deployment, synthetic data, a simulated Stripe.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import stripe

from paycordon import (
    Account,
    Cordon,
    Event,
    EventType,
    Held,
    Identifier,
    IdentifierKind,
    Merchant,
    Mode,
    Money,
    Outcome,
    Payout,
)
from paycordon.deployment import create
from paycordon.store import holds, indicators
from paycordon_stripe import guard
from paycordon_stripe.simulator import StripeSimulator

INSTANCE = "stripe_eu"  # one connection to a gateway, as it is called in paycordon.yaml
HONEST_IBAN = Identifier(kind=IdentifierKind.IBAN, value="NL91 ABNA 0417 1643 00")
KNOWN_IBAN = Identifier(kind=IdentifierKind.IBAN, value="GB33 BUKB 2020 1555 5555 55")


def main() -> None:
    with TemporaryDirectory() as directory, StripeSimulator(api_key="sk_test_simulated", livemode=False) as simulator:
        create(Path(directory))  # what `paycordon init` does: configuration, starter policy, keys
        cordon = Cordon.from_config(f"{directory}/paycordon.yaml")
        try:
            tell_what_the_coalition_knows(cordon)
            ask_before_paying_out(cordon, simulator)
        finally:
            cordon.close()


def tell_what_the_coalition_knows(cordon: Cordon) -> None:
    """Add one indicator, as `paycordon indicator add` does. Only a keyed digest of the IBAN is stored."""
    known = indicators.Indicator(
        kind=IdentifierKind.IBAN,
        digest=cordon.digester.digest(KNOWN_IBAN),
        source="synthetic coalition",
        reference="CASE-1",
        confidence=90,
        status="confirmed",
    )
    with cordon.store.write() as connection:
        indicators.add(connection, known, now())


def ask_before_paying_out(cordon: Cordon, simulator: StripeSimulator) -> None:
    bookshop, seller = simulator.create_account(country="NL"), simulator.create_account(country="GB")

    print("1. Ask before money moves")
    show("the bookshop", cordon, payout_event("payout-1", bookshop, "bookshop", HONEST_IBAN))
    show("the seller", cordon, payout_event("payout-2", seller, "seller", KNOWN_IBAN))

    print("2. The same in the client you have: wrap it once")
    backend = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
    client = guard(backend, cordon, INSTANCE)
    pay(client, "the bookshop", bookshop)
    pay(client, "the seller", seller)  # nothing of it reaches Stripe

    print("3. Two people look and release, as `paycordon hold release` and `paycordon proposal agree` do")
    with cordon.store.write() as connection:
        for hold in holds.listed(connection):
            print(f"   released: {hold.rule} on {hold.subject_kind} {hold.subject_id}")
            people = {"by": "ana@psp.example", "agreed_by": "ben@psp.example"}
            holds.release(connection, hold.id, **people, reason="owner identified", now=now())
    pay(client, "the seller", seller)  # the same call, with the same idempotency key


def payout_event(id_: str, account: str, merchant: str, destination: Identifier) -> Event:
    return Event(
        id=id_,
        type=EventType.PAYOUT_REQUESTED,
        occurred_at=now(),
        gateway="stripe",
        instance=INSTANCE,
        mode=Mode.TEST,
        account=Account(id=account),
        merchant=Merchant(id=merchant),
        payout=Payout(id=id_, amount=Money(minor=125_00, currency="EUR")),
        identifiers=(destination,),
    )


def show(who: str, cordon: Cordon, event: Event) -> None:
    decision = cordon.screen(event)
    print(f"   {who}: {decision.outcome}")
    if decision.outcome is not Outcome.ALLOW:
        print(f"      rule: {decision.rule}")
        for finding in decision.findings:
            print(f"      found: {finding.code}, confidence {finding.confidence}, {finding.evidence['reference']}")
        print(f"      the merchant hears: {decision.merchant_reason}")


def pay(client: stripe.StripeClient, who: str, account: str) -> None:
    try:
        payout = client.v1.payouts.create(
            {"amount": 80_00, "currency": "eur"},
            {"stripe_account": account, "idempotency_key": f"payout for {account}"},
        )
        print(f"   {who}: {payout.status} at Stripe")
    except Held as held:
        print(f"   {who}: Held: {held}")


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
