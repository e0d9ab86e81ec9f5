"""Counters for operators. Labels take few, known values only; nothing here names a merchant or a reason."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from paycordon.decisions import Decision
from paycordon.events import Stage

_STAGES = frozenset(Stage)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """The counters of one process, on a registry of their own.

    Args:
        registry: where to register them; a new one by default, so that several can live in one process.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._deliveries = Counter(
            "paycordon_deliveries",
            "Webhook deliveries by what became of them at the door",
            ("instance", "answer"),
            registry=self.registry,
        )
        self._worked = Counter(
            "paycordon_deliveries_worked",
            "Stored messages by what became of one attempt to screen them",
            ("instance", "result"),
            registry=self.registry,
        )
        self._decisions = Counter(
            "paycordon_decisions",
            "Decisions by outcome and stage",
            ("outcome", "stage"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "paycordon_screening_seconds",
            "Time from receiving an event to its decision",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._restrictions = Counter(
            "paycordon_restrictions",
            "Reconciliations of a restriction with its gateway, by the state they ended in",
            ("instance", "state"),
            registry=self.registry,
        )
        self._rests = Gauge(
            "paycordon_gateway_rests",
            "1 while a gateway instance is left alone because too many accounts failed in a row",
            ("instance",),
            registry=self.registry,
        )
        self._policy = Gauge(
            "paycordon_policy_info",
            "The policy set in force in this process: 1 under its digest",
            ("digest",),
            registry=self.registry,
        )
        self._policy_refused = Gauge(
            "paycordon_policy_reload_failed",
            "1 while the policy files cannot be taken into force, and others stay in force",
            registry=self.registry,
        )
        self._caps = Counter(
            "paycordon_caps_reached",
            "Decisions in which a cap of a binding made `review` of a hold or a block",
            ("binding",),
            registry=self.registry,
        )
        self._feeds = Counter(
            "paycordon_feed_looks",
            "Looks at feeds of indicators by what they came to: ok, refused, failed or waiting for a person",
            ("feed", "result"),
            registry=self.registry,
        )
        self._feed_good = Gauge(
            "paycordon_feed_last_good_timestamp_seconds",
            "When this process last read a feed to its end, in seconds since 1970",
            ("feed",),
            registry=self.registry,
        )
        self._clocks = Counter(
            "paycordon_clocks",
            "Deadlines by kind, and what was said about them",
            ("kind", "said"),
            registry=self.registry,
        )

    def feed_looked(self, feed: str, result: str, at: datetime) -> None:
        """Count a look at one of the configured feeds: `ok`, `refused`, `failed` or `waiting`."""
        self._feeds.labels(feed, result).inc()
        if result == "ok":
            self._feed_good.labels(feed).set(at.timestamp())

    def clock(self, kind: str, what: str) -> None:
        """Count what was said about a deadline: `clock.warned`, `clock.due` or `clock.reminded`."""
        self._clocks.labels(kind, what.removeprefix("clock.")).inc()

    def capped(self, binding: str) -> None:
        """Count a decision that a cap of one of the configured bindings has limited."""
        self._caps.labels(binding).inc()

    def policy_in_force(self, digest: str) -> None:
        """Say which policy set judges now."""
        self._policy.clear()
        self._policy.labels(digest).set(1)
        self._policy_refused.set(0)

    def policy_refused(self) -> None:
        """Say that the policy files are not what judges, because they are broken or not approved."""
        self._policy_refused.set(1)

    def delivered(self, instance: str, answer: str) -> None:
        """Count a delivery. `instance` is one of the configuration, or `unknown`."""
        self._deliveries.labels(instance, answer).inc()

    def worked(self, instance: str, result: str) -> None:
        """Count one attempt to screen a stored message: `done`, `retry` or `stuck`."""
        self._worked.labels(instance, result).inc()

    def decided(self, decision: Decision, seconds: float) -> None:
        """Count a decision and the time it took; stages outside the core's own count as `other`."""
        stage = decision.event_type.split(".", 1)[0]
        self._decisions.labels(decision.outcome.value, stage if stage in _STAGES else "other").inc()
        self._seconds.observe(seconds)

    def reconciled(self, instance: str, state: str) -> None:
        """Count one reconciliation of a restriction by the state it ended in."""
        self._restrictions.labels(instance, state).inc()

    def gateway_rests(self, instance: str, *, resting: bool) -> None:
        """Say whether workers leave an instance alone for a while."""
        self._rests.labels(instance).set(resting)
