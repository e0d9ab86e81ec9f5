"""Run the simulator by itself: `python -m paycordon_stripe.simulator --port 8420`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from paycordon_stripe.simulator.server import StripeSimulator


def main() -> None:
    """Listen until the process is told to end; the first line of output is the address."""
    parser = argparse.ArgumentParser(prog="python -m paycordon_stripe.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where to listen on 127.0.0.1; 0 lets the system choose")
    parser.add_argument("--api-key", default="sk_simulated", help="the only key it takes")
    parser.add_argument("--webhook-secret", default="whsec_simulated", help="what its deliveries are signed with")
    parser.add_argument("--test-mode", action="store_true", help="its objects are those of test mode")
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    simulator = StripeSimulator(
        port=given.port,
        api_key=given.api_key,
        webhook_secret=given.webhook_secret,
        livemode=not given.test_mode,
    )
    with simulator:
        sys.stdout.write(f"{simulator.base_url}\n")
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
