"""The ways in which adapters are known to fail, as far as they concern deliveries: a test for each.

There are fifteen, each with its sources in other projects' trackers. Those of acts and of the guard (1, 3, 5, 12, 13,
15) are in `test_failure_modes_acts.py`. One cannot hit Stripe: 6, of a batch only the first item is verified. There are
no batches: `verify` takes the whole body, and anything but one event is refused; that is tested here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.identifiers import Digester
from paycordon.errors import StoreUnavailable
from paycordon.events import Event
from paycordon.gateways import Change, Delivery, Restriction
from paycordon.intake import DeliveryWorker, Intake
from paycordon.intake.app import Answer
from paycordon.metrics import Metrics
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, schema
from paycordon.testing import FrozenClock
from paycordon_stripe import StripeGateway
from paycordon_stripe.simulator import Fault, FaultKind, StripeSimulator, events, signed_delivery

ACCT = "acct_1Failure"
CONNECT, ACCOUNT, THIN, NEW = "whsec_connect", "whsec_account", "whsec_thin", "whsec_connect_new"
POLICY = """\
policy: p
version: 1
on_error: review
rules:
  - {id: r, on: [payout.requested], when: event.payout.amount.minor > 90000000, then: review, references: [synthetic]}
"""


@dataclass
class Site:
    """A door, an engine and workers on one store, before the simulated Stripe."""

    gateway: StripeGateway
    simulator: StripeSimulator
    cordon: Cordon
    clock: FrozenClock
    door: Intake = field(init=False)

    def __post_init__(self) -> None:
        self.door = Intake({"stripe_sim": self.gateway}, self.cordon.store, self.clock, Metrics())

    def take(self, event: dict[str, Any], secret: str = CONNECT, *, altered: bytes = b"") -> Answer:
        headers, body = signed_delivery(event, secret, self.clock())
        return self.door.take(self.gateway, Delivery(headers, body + altered))

    def worker(self, owner: str = "w", cordon: Any = None) -> DeliveryWorker:
        screens = cordon or self.cordon
        return DeliveryWorker(self.cordon.store, {"stripe_sim": self.gateway}, screens, self.clock, owner)

    def screened(self) -> list[Event]:
        """Work on all that is stored, and return every event that was recorded, in the order of their ids."""
        while self.worker().run_once():
            pass
        with self.cordon.store.read() as connection:
            found = connection.execute(schema.events.select().order_by(schema.events.c.id)).mappings()
            return [Event.model_validate_json(row["body"]) for row in found]

    def stored(self) -> int:
        with self.cordon.store.read() as connection:
            return len(connection.execute(schema.deliveries.select()).all())

    def thin(self, snapshot: dict[str, Any]) -> dict[str, Any]:
        """Return what a thin endpoint is sent of an event."""
        with self.simulator.ledger.lock:
            found = self.simulator.ledger.log.readable(self.simulator.clock())
            return next(
                each.notification() for each in found if each.snapshot and each.snapshot["id"] == snapshot["id"]
            )


@pytest.fixture
def site(
    simulator: StripeSimulator, make_gateway: Callable[..., StripeGateway], clock: FrozenClock, tmp_path: Path
) -> Iterator[Site]:
    (tmp_path / "p.yaml").write_text(POLICY)
    limits = Limits(budget=timedelta(seconds=10), check_deadline=timedelta(seconds=5))
    digester = Digester({"k1": b"k" * 32}, "k1")
    store, policies = Store.open(f"sqlite:///{tmp_path / 'modes.db'}"), load_policies([tmp_path / "p.yaml"])
    cordon = Cordon(store, policies, Plugins({}), digester, limits=limits, clock=clock)
    simulator.create_account(id=ACCT, balance={"usd": 50_000})
    gateway = make_gateway(simulator.base_url, webhook_secrets=[CONNECT, NEW, ACCOUNT, THIN], timeout_seconds=5)
    yield Site(gateway, simulator, cordon, clock)
    cordon.close()


def payout(site: Site, status: str = "pending", type_: str = "payout.created") -> dict[str, Any]:
    """An event about the one payout; Stripe itself holds the payout as it is now."""
    made = events.payout("po_1Mode", site.clock(), status=status)
    return events.event(type_, made, site.clock(), account=ACCT)


def test_mode_1_the_same_event_twice_is_judged_once_and_answered_with_success(site: Site) -> None:
    event = payout(site)
    site.simulator.put("payouts", ACCT, event["data"]["object"])

    assert [site.take(event), site.take(event)] == [Answer.STORED, Answer.REPEATED]
    assert len(site.screened()) == 1
    assert site.take(event) is Answer.REPEATED
    assert len(site.screened()) == 1


def test_mode_1_a_snapshot_and_its_thin_twin_are_judged_once(site: Site) -> None:
    """Whoever subscribes to both styles is told everything twice, under two ids."""
    site.simulator.charge(ACCT, 4_000, "usd")
    (snapshot,) = [each for each in site.simulator.events(ACCT) if each["type"] == "charge.succeeded"]

    assert [site.take(site.thin(snapshot), THIN), site.take(snapshot)] == [Answer.STORED, Answer.STORED]

    assert [event.id for event in site.screened()] == [snapshot["id"]]
    assert site.stored() == 2


def test_mode_2_events_out_of_order_do_not_bring_an_earlier_state_back(site: Site) -> None:
    site.simulator.put("payouts", ACCT, events.payout("po_1Mode", site.clock(), status="failed"))
    site.take(payout(site, "failed", "payout.failed"))
    site.take(payout(site, "pending"))

    assert [event.payout.status for event in site.screened() if event.payout] == ["failed", "failed"]


def test_mode_2_an_account_is_judged_as_it_is_now_and_not_as_a_late_event_says(site: Site) -> None:
    late = events.account(ACCT, site.clock(), charges_enabled=False, payouts_enabled=False)
    site.take(events.event("account.updated", late, site.clock(), account=ACCT))

    (event,) = site.screened()

    assert (event.account.charges_enabled, event.account.payouts_enabled) == (True, True)


def test_mode_3_two_workers_at_once_judge_a_delivery_once(site: Site) -> None:
    event = payout(site)
    site.simulator.put("payouts", ACCT, event["data"]["object"])
    site.take(event)
    site.take(payout(site, type_="payout.updated"))
    ready = threading.Barrier(2)

    def work(owner: str) -> None:
        ready.wait(5)
        while site.worker(owner).run_once():
            pass

    workers = [threading.Thread(target=work, args=(owner,)) for owner in ("one", "other")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)

    assert len(site.screened()) == 2


def test_mode_4_a_database_that_fails_after_the_call_repeats_no_effect(site: Site, subject_of) -> None:
    """The call is outside of what is retried locally, and its key is fixed: sent again, it changes nothing."""
    subject = subject_of(ACCT)
    change = Change(Restriction.PAYOUTS_HELD, site.gateway.read(subject).settings)
    site.gateway.apply(subject, change, "key-1")
    before = len(site.simulator.changes(ACCT))

    site.gateway.apply(subject, change, "key-1")  # the local record of it was lost

    assert len(site.simulator.changes(ACCT)) == before


def test_mode_4_a_database_that_fails_while_screening_loses_nothing(site: Site) -> None:
    event = payout(site)
    site.simulator.put("payouts", ACCT, event["data"]["object"])
    site.take(event)

    class Failing:
        def screen(self, _: Event) -> Any:
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        site.worker(cordon=Failing()).run_once()
    site.clock.advance(timedelta(minutes=6))

    assert len(site.screened()) == 1


def test_mode_6_a_body_of_several_events_is_no_delivery_of_stripes(site: Site) -> None:
    headers, body = signed_delivery([payout(site), payout(site)], CONNECT, site.clock())  # type: ignore[arg-type]

    assert site.door.take(site.gateway, Delivery(headers, body)) is Answer.SIGNATURE_INVALID
    assert site.stored() == 0


def test_mode_7_the_old_and_the_new_secret_are_valid_together(site: Site) -> None:
    assert site.take(payout(site), CONNECT) is Answer.STORED
    assert site.take(payout(site), NEW) is Answer.STORED


@pytest.mark.parametrize("secret", [CONNECT, ACCOUNT, THIN])
def test_mode_8_each_endpoint_has_a_secret_of_its_own(site: Site, secret: str) -> None:
    assert site.take(payout(site), secret) is Answer.STORED
    assert site.take(payout(site), f"{secret}_foreign") is Answer.SIGNATURE_INVALID
    assert site.take(payout(site), secret, altered=b" ") is Answer.SIGNATURE_INVALID
    assert site.stored() == 1


@pytest.mark.parametrize("headers", [{}, {"stripe-signature": ""}, {"authorization": "Bearer sk_simulated"}])
def test_mode_9_nothing_without_a_signature_gets_in(site: Site, headers: dict[str, str]) -> None:
    body = json.dumps(payout(site)).encode()

    assert site.door.take(site.gateway, Delivery(headers, body)) is Answer.SIGNATURE_INVALID
    assert site.stored() == 0


def test_mode_10_three_answers_are_kept_apart(site: Site) -> None:
    """A wrong signature hides no misconfiguration behind a 200; what is not ours does not make Stripe stop sending."""
    own = events.event("payout.created", events.payout("po_own", site.clock()), site.clock())
    unknown = events.event("invoice.paid", {"id": "in_1", "object": "invoice"}, site.clock(), account=ACCT)
    of_test = {**payout(site), "livemode": False}

    answers = [
        site.take(payout(site), "whsec_wrong"),
        *map(site.take, (own, unknown, of_test)),
        site.take(payout(site)),
    ]

    assert [answer.status for answer in answers] == [401, 200, 200, 200, 200]
    assert site.stored() == 1


@pytest.mark.parametrize("style", ["snapshot", "thin"])
def test_mode_11_the_door_answers_at_once_and_asks_stripe_nothing(site: Site, style: str) -> None:
    site.simulator.charge(ACCT, 4_000, "usd")
    (event,) = [each for each in site.simulator.events(ACCT) if each["type"] == "charge.succeeded"]
    if style == "thin":
        event = site.thin(event)
    site.simulator.inject(Fault(FaultKind.LOST_BEFORE, seconds=5, times=9))
    asked, begun = len(site.simulator.requests), time.monotonic()

    assert site.take(event) is Answer.STORED

    assert time.monotonic() - begun < 2
    assert len(site.simulator.requests) == asked


def test_mode_12_what_a_thin_event_names_is_asked_for_in_its_accounts_context(site: Site) -> None:
    site.simulator.charge(ACCT, 4_000, "usd")
    (snapshot,) = [each for each in site.simulator.events(ACCT) if each["type"] == "charge.succeeded"]
    site.take(site.thin(snapshot), THIN)
    asked = len(site.simulator.requests)

    assert len(site.screened()) == 1
    assert {request.account for request in site.simulator.requests[asked:]} == {ACCT}


def test_mode_12_an_account_that_has_left_is_judged_on_what_was_delivered(site: Site) -> None:
    site.simulator.deauthorize(ACCT)
    gone = {"id": "ca_1", "object": "application", "name": None}
    site.take(events.event("account.application.deauthorized", gone, site.clock(), account=ACCT))

    (event,) = site.screened()

    assert (event.type, event.extra["changed"]) == ("merchant.changed", ["application"])
    assert event.extra["paycordon_unresolved"] == "refused"


@pytest.mark.parametrize("version", ["2017-08-15", "2026-09-30.endive", "2031-01-01.something", None])
def test_mode_13_the_version_of_a_payload_need_not_be_that_of_the_sdk(site: Site, version: str | None) -> None:
    event = {**payout(site), "api_version": version, "new_in_the_envelope": {"a": [1]}}
    event["data"]["object"] |= {"status": "a_state_of_next_year", "new_field": {"b": None}}
    site.simulator.put("payouts", ACCT, event["data"]["object"])

    assert site.take(event) is Answer.STORED
    assert [each.payout.status for each in site.screened() if each.payout] == ["a_state_of_next_year"]


@pytest.mark.parametrize("status", ["lost", "prevented", "appeal_under_review", "won"])
def test_mode_14_how_a_dispute_ended_is_what_its_status_says(site: Site, status: str) -> None:
    """The name of `funds_reinstated` says nothing about who has won."""
    made = events.dispute("dp_1Mode", site.clock(), status=status)
    site.simulator.put("disputes", ACCT, made)
    site.take(events.event("charge.dispute.funds_reinstated", made, site.clock(), account=ACCT))

    assert [event.dispute.status for event in site.screened() if event.dispute] == [status]


def test_mode_15_what_the_sdk_cannot_parse_is_a_delivery_all_the_same(site: Site) -> None:
    """`construct_event` raises `AttributeError` for this event, as Stripe's own fixture has it."""
    rules = {"payments": {"payouts": {"automatic_transfer_rules_by_currency": None}}}
    settings = {"object": "balance_settings", **rules}
    assert site.take(events.event("balance_settings.updated", settings, site.clock(), account=ACCT)) is Answer.STORED
    assert [event.extra["changed"] for event in site.screened()] == [["balance_settings"]]


def test_a_storm_of_thin_events_waits_for_the_rate_limit_and_loses_nothing(site: Site) -> None:
    for _ in range(5):
        site.simulator.charge(ACCT, 4_000, "usd")
    snapshots = [each for each in site.simulator.events(ACCT) if each["type"] == "charge.succeeded"]
    for each in snapshots:
        site.take(site.thin(each), THIN)
    site.simulator.inject(Fault(FaultKind.ANSWER, "GET", status=429, times=3))

    assert len(site.screened()) == 2
    site.clock.advance(timedelta(minutes=1))
    assert len(site.screened()) == 5
