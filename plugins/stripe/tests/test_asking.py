"""What people ask for on the command line is done at Stripe: once, by a worker, and by two where it takes two."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
import yaml
from typer.testing import CliRunner

from paycordon.cli import build
from paycordon.deployment import create
from paycordon.enforcement import Timing
from paycordon.enforcement.acting import ActWorker
from paycordon.record.verify import verify
from paycordon.screening import utc_now
from paycordon.store import Store, acts, erasure, schema
from paycordon.store.acts import ActState, NewAct
from paycordon.testing import FrozenClock
from paycordon_stripe.simulator import Fault, FaultKind, StripeSimulator

ACCT = "acct_1Asked"
WHY = ("--by", "ana", "--reason", "looked at it")
AGREED = ("--by", "ben", "--reason", "seen the documents")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def office(simulator: StripeSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """A deployment with one Stripe instance, and its command line."""
    create(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIPE_KEY", simulator.api_key)
    monkeypatch.setenv("STRIPE_SECRET", simulator.webhook_secret)
    gateway = {"adapter": "stripe", "mode": "live", "base_url": simulator.base_url, "timeout_seconds": 5}
    secrets = {"api_key": "env:STRIPE_KEY", "webhook_secrets": ["env:STRIPE_SECRET"]}
    config = tmp_path / "paycordon.yaml"
    config.write_text(
        yaml.safe_dump(yaml.safe_load(config.read_text()) | {"gateways": {"stripe_sim": {**gateway, **secrets}}})
    )
    simulator.create_account(id=ACCT, country="US", balance={"usd": 50_000})

    def run(*arguments: str) -> Done:
        done = CliRunner().invoke(build(arguments), [*arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def store(office: Callable[..., Done], tmp_path: Path) -> Any:
    found = Store.open(f"sqlite:///{tmp_path / 'paycordon.db'}")
    yield found
    found.close()


def test_a_rejection_takes_two_people_and_a_worker(office, simulator: StripeSimulator) -> None:
    asked = office("act", "ask", "reject", ACCT, "--set", "reason=fraud_other", *WHY)
    assert (asked.code, "paycordon proposal agree" in asked.out) == (1, True)
    (proposal,) = office("proposal", "list", "--json").json
    assert (proposal["kind"], proposal["subject_id"]) == ("act", f"reject {ACCT} at stripe_sim")
    assert office("proposal", "agree", proposal["id"], *WHY).code == 2
    assert office("act", "list", "--json").json == []

    assert office("proposal", "agree", proposal["id"], *AGREED).code == 0
    (waiting,) = office("act", "list", "--json").json
    assert (waiting["asked_by"], waiting["agreed_by"], waiting["state"]) == ("ana", "ben", "waiting")
    assert simulator.account(ACCT)["requirements"]["disabled_reason"] is None

    assert office("work", "--once").code == 0
    shown = office("act", "show", waiting["id"], "--json").json
    assert (shown["state"], shown["reference"], shown["already"]) == ("done", ACCT, False)
    assert simulator.account(ACCT)["requirements"]["disabled_reason"].startswith("rejected.")
    assert office("log", "verify").code == 0
    assert office("act", "list").out.startswith("nothing waits")
    assert len(office("act", "list", "--all", "--json").json) == 1


def test_one_person_may_switch_a_capability_off(office, simulator: StripeSimulator) -> None:
    done = office("act", "ask", "switch_off_capability", ACCT, "--set", "capability=card_payments", *WHY, "--json")
    assert (done.code, done.json["state"]) == (0, "waiting")
    again = office("act", "ask", "switch_off_capability", ACCT, "--set", "capability=card_payments", *WHY)
    assert (again.code, done.json["id"] in again.err) == (2, True)
    office("work", "--once")
    assert simulator.account(ACCT)["requested"]["card_payments"] is False


REFUSED = [
    (("ask", "close_dispute", ACCT), "has no act"),
    (("ask", "pause_account", ACCT), "stripe has no call for it"),
    (("ask", "reject", ACCT), "`reason`: Field required"),
    (("ask", "reject", ACCT, "--set", "reason=fraud"), "`reason`"),
    (("ask", "reject", ACCT, "--set", "reason"), "NAME=VALUE"),
    (("ask", "reject", ACCT, "--set", "reason=other", "--set", "reason=credit"), "twice"),
    (("ask", "reject", ACCT, "--instance", "stripe_us"), "no instance"),
    (("retry", "act_none"), "no act `act_none`"),
]


def test_what_cannot_be_asked_for_is_said_and_nothing_is_kept(office) -> None:
    for arguments, says in REFUSED:
        done = office("act", *arguments, *WHY)
        assert (done.code, says in done.err) == (2, True), done.err
    assert office("act", "list", "--all", "--json").json == []
    assert office("proposal", "list", "--json").json == []


def test_what_stripe_refuses_is_put_before_a_person_and_may_be_tried_again(office, simulator) -> None:
    office("act", "ask", "switch_off_capability", ACCT, "--set", "capability=card_issuing", *WHY)
    office("work", "--once")
    listed = office("act", "list", "--json")
    (stuck,) = listed.json
    assert (listed.code, stuck["state"], stuck["last_error"].partition(":")[0]) == (1, "stuck", "Refused")
    assert len(office("case", "list", "--json").json) == 1
    assert office("act", "retry", stuck["id"], *WHY).code == 0
    assert office("act", "retry", stuck["id"], *WHY).code == 2


def asked(store: Store, simulator: StripeSimulator) -> str:
    """A transfer to be reversed, as two people have agreed."""
    backend = stripe.StripeClient(simulator.api_key, base_addresses={"api": simulator.base_url})
    made = backend.v1.transfers.create({"amount": 900, "currency": "usd", "destination": ACCT}).id
    parameters = json.dumps({"transfer": made, "amount": 300, "reversed_before": 0})
    wanted = NewAct("stripe_sim", ACCT, "reverse_transfer", parameters, "agreed", "ana", "ben")
    with store.write() as connection:
        acts.ask(connection, wanted, utc_now(), lambda n: b"1" * n)
    return made


def state(store: Store) -> acts.StoredAct:
    with store.read() as connection:
        (found,) = acts.listed(connection, open_only=False)
        return found


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.LOST_BEFORE])
def test_an_answer_that_never_came_moves_the_money_once(office, store, simulator, make_gateway, kind) -> None:
    transfer, clock = asked(store, simulator), FrozenClock(utc_now())
    worker = ActWorker(store, make_gateway(simulator.base_url), owner="w", clock=clock)
    simulator.inject(Fault(kind, "POST"))

    assert worker.run_once() == 1
    assert (state(store).state, state(store).failures) == (ActState.WAITING, 1)
    assert worker.run_once() == 0
    clock.advance(timedelta(minutes=1))
    assert worker.run_once() == 1

    assert state(store).state is ActState.DONE
    assert simulator.objects("transfers", None)[0]["amount_reversed"] == 300, transfer
    assert verify(store).ok


def test_a_worker_that_died_after_the_request_is_taken_over(
    office, store, simulator, make_gateway, monkeypatch
) -> None:
    asked(store, simulator)
    clock = FrozenClock(utc_now())
    dying = ActWorker(store, make_gateway(simulator.base_url), owner="dying", clock=clock)
    monkeypatch.setattr(dying, "_done", lambda *_: None)  # killed right after Stripe answered
    other = ActWorker(store, make_gateway(simulator.base_url), owner="other", clock=clock)

    assert dying.run_once() == 1
    assert other.run_once() == 0
    clock.advance(timedelta(minutes=6))
    assert other.run_once() == 1

    assert (state(store).state, state(store).already) == (ActState.DONE, True)
    assert simulator.objects("transfers", None)[0]["amount_reversed"] == 300


def test_a_worker_whose_lease_is_over_sends_nothing(office, store, simulator, make_gateway) -> None:
    asked(store, simulator)
    clock = FrozenClock(utc_now())
    worker = ActWorker(
        store, make_gateway(simulator.base_url, timeout_seconds=9), owner="w", clock=clock,
        timing=Timing(lease=timedelta(seconds=5)),
    )  # fmt: skip
    assert worker.run_once() == 1
    assert state(store).state is ActState.WAITING
    assert simulator.objects("transfers", None)[0]["amount_reversed"] == 0


def test_what_keeps_failing_is_put_before_a_person(office, store, simulator, make_gateway) -> None:
    asked(store, simulator)
    clock = FrozenClock(utc_now())
    worker = ActWorker(
        store, make_gateway(), owner="w", clock=clock, timing=Timing(give_up_after=3, last_retry=timedelta(seconds=9))
    )
    for _ in range(3):
        assert worker.run_once() == 1
        clock.advance(timedelta(seconds=10))
    assert worker.run_once() == 0
    assert state(store).state is ActState.STUCK


def test_an_act_that_is_not_done_keeps_its_merchant_from_being_erased(office, store, simulator) -> None:
    asked(store, simulator)
    merchant = state(store).merchant
    with store.read() as connection:
        assert erasure.standing(connection, merchant, utc_now()) == ["an act that is not done"]


CHANGES = ({"agreed_by": "ana"}, {"parameters": "{}"}, {"reason": "another"}, {"state": "done"}, {"act": "unreject"})


def test_the_log_tells_when_an_act_was_changed_afterwards(office, store, simulator) -> None:
    asked(store, simulator)
    assert verify(store).ok
    with store.read() as connection:
        as_asked = dict(connection.execute(schema.acts.select()).mappings().one())
    for change in CHANGES:
        with store.write() as connection:
            connection.execute(schema.acts.update().values({**as_asked, **change}))
        assert [problem.what for problem in verify(store).problems] == ["changed"], change


def test_an_act_that_nobody_asked_for_is_found(office, store, simulator) -> None:
    asked(store, simulator)
    with store.write() as connection:
        connection.execute(schema.acts.update().values(id="act_made_up"))

    assert not verify(store).ok
