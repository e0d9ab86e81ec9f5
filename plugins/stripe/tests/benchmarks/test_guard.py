"""What the guard costs, beside the same calls without it, to the same simulator, in one run.

Run with `pytest plugins/stripe/tests/benchmarks --benchmark-only -s`. Calls are made in turns, one of each kind after
the other, so that whatever else the machine does falls on all of them.

- a guarded call: at most 2 ms more at the median. The cordon here decides without a store: what is measured is the
  guard, and not the decision, which has a benchmark of its own;
- a call that passes: at most 5 % more at the median.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time

import pytest
import stripe

from paycordon.decisions import Decision, Outcome
from paycordon.testing.clock import NOON
from paycordon_stripe import guard
from paycordon_stripe.simulator import StripeSimulator

ACCT = "acct_1Guarded"
ROUNDS = 700
MOST_PER_GUARDED_CALL_S = 0.002
MOST_OF_A_PASSING_CALL = 1.05


class Allowing:
    """Decides at once."""

    def screen(self, event):
        return Decision(
            id="dec-1",
            event_id=event.id,
            event_type=event.type,
            instance=event.instance,
            mode=event.mode,
            merchant=event.account.id,
            subject=event.subject,
            outcome=Outcome.ALLOW,
            merchant_reason="",
            decided_at=NOON,
        )

    def in_force(self, decision):
        return decision.outcome


def serve(ready, done):
    with StripeSimulator(livemode=False) as simulator:
        simulator.create_account(id=ACCT)
        ready.send((simulator.api_key, simulator.base_url))
        done.recv()


@pytest.fixture
def own():
    """The backend's client of a simulator in a process of its own, as Stripe is."""
    context = multiprocessing.get_context("fork")
    (ready, told), (finish, done) = context.Pipe(), context.Pipe()
    process = context.Process(target=serve, args=(told, done), daemon=True)
    process.start()
    assert ready.poll(30), "the simulator does not start"
    key, url = ready.recv()
    yield stripe.StripeClient(key, base_addresses={"api": url})
    finish.send(None)
    process.join(10)


def medians(*calls):
    """The median of each call in seconds, all of them made in turns."""
    taken = [[] for _ in calls]
    for round_ in range(ROUNDS + 50):
        for each, call in zip(taken, calls, strict=True):
            began = time.perf_counter()
            call()
            if round_ >= 50:
                each.append(time.perf_counter() - began)
    return [statistics.median(each) for each in taken]


def refused(client):
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.cancel("po_unknown")


def test_overhead(own, benchmark):
    guarded = guard(own, Allowing(), "stripe_sim")
    to_account: stripe.RequestOptions = {"stripe_account": ACCT}
    payout = {"amount": 100, "currency": "usd"}

    plain, screened, reading, passing = medians(
        lambda: own.v1.payouts.create(payout, to_account),
        lambda: guarded.v1.payouts.create(payout, to_account),
        lambda: own.v1.accounts.retrieve(ACCT),
        lambda: guarded.v1.accounts.retrieve(ACCT),
    )
    writing, passing_write = medians(lambda: refused(own), lambda: refused(guarded))
    benchmark.extra_info.update(plain=plain, screened=screened)
    benchmark.pedantic(lambda: guarded.v1.accounts.retrieve(ACCT), rounds=1)

    print()
    for name, with_it, without in (
        ("guarded call", screened, plain),
        ("passing read", passing, reading),
        ("passing write", passing_write, writing),
    ):
        more = (with_it - without) * 1000
        ratio = f"+{more:.3f} ms, x{with_it / without:.3f}"
        print(f"{name:15}{with_it * 1000:.3f} ms, unguarded {without * 1000:.3f} ms: {ratio}")
    assert screened - plain <= MOST_PER_GUARDED_CALL_S
    assert passing / reading <= MOST_OF_A_PASSING_CALL
    assert passing_write / writing <= MOST_OF_A_PASSING_CALL
