"""The table `uses` says exactly what the decisions themselves say, whatever was decided."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text

from paycordon.decisions import Decision, Finding, Outcome, PolicyRef, RuleMatch
from paycordon.events import Mode, Subject, SubjectKind
from paycordon.store import Store, schema, uses, withdrawals
from paycordon.store.ledger import Entry, Superseded, record
from paycordon.store.migrate import SCRIPTS
from paycordon.store.snapshot import origin
from paycordon.testing import make_event

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DIGESTS, SOURCES, REFERENCES = ("k1:aa", 'k1:"b', "k1:ü"), ("IWF", "I,WF"), ("7", '"7"')
POLICIES = ("payouts", "onboarding", "payout")

evidence = st.one_of(
    st.fixed_dictionaries(
        {"digest": st.sampled_from(DIGESTS), "source": st.sampled_from(SOURCES)},
        optional={"reference": st.sampled_from(REFERENCES), "status": st.just("confirmed")},
    ),
    st.dictionaries(
        st.sampled_from(["digest", "source", "reference", "others"]), st.one_of(st.none(), st.integers(0, 9))
    ),
)
findings = st.builds(
    Finding,
    check=st.sampled_from(["feed_match", "shared_identifier"]),
    code=st.sampled_from(["indicator.match", "identifier.shared_with_blocked", "payout.velocity"]),
    evidence=evidence,
)
matches = st.builds(
    RuleMatch,
    policy=st.sampled_from([*POLICIES, "paycordon"]),
    rule=st.sampled_from(["a", "on_error", "typology.x"]),
    outcome=st.sampled_from(Outcome),
)
refs = st.builds(
    PolicyRef, name=st.sampled_from(POLICIES), version=st.just(1), digest=st.sampled_from(["1" * 64, "2" * 64])
)


def decision_of(number: int, found: list[Finding], matched: list[RuleMatch], policies: list[PolicyRef]) -> Decision:
    return Decision(
        id=f"dec_{number:04}",
        event_id=f"evt_{number}",
        event_type="payout.requested",
        instance="acme",
        mode=Mode.LIVE,
        merchant="m_1",
        subject=Subject(instance="acme", kind=SubjectKind.PAYOUT, id="po_1", account="acct_1"),
        outcome=Outcome.most_severe(*(match.outcome for match in matched)),
        findings=tuple(found),
        matches=tuple(matched),
        policies=tuple({each.name: each for each in policies}.values()),
        decided_at=NOW,
    )


decided = st.lists(
    st.tuples(st.lists(findings, max_size=4), st.lists(matches, max_size=3), st.lists(refs, max_size=3)), max_size=8
)


def write(store: Store, decisions: list[Decision]) -> None:
    with store.write() as connection:
        for decision in decisions:
            event = make_event("payout.requested", id=decision.event_id)
            record(
                connection, Entry(event, origin(connection, event), decision, Outcome.ALLOW), NOW, secrets.token_bytes
            )


def by_reading_all(connection: Connection, kind: str, key: str) -> set[str]:
    """Which decisions used something, by the stored texts alone."""
    found = set()
    for id_, body in connection.execute(select(schema.decisions.c.id, schema.decisions.c.body)):
        said = json.loads(body)
        if kind == uses.INDICATOR:
            wanted = dict(zip(("digest", "source", "reference"), json.loads(key), strict=True))
            used = any(wanted.items() <= each["evidence"].items() for each in said["findings"])
        else:
            names = {each["name"] for each in said["policies"] if each["digest"] == key}
            used = any(each["policy"] in names and each["outcome"] != "allow" for each in said["matches"])
        found |= {id_} if used else set()
    return found


@pytest.fixture
def empty(sqlite_store: Store):
    """Empties the store, for each example of a property."""

    def clear() -> Store:
        with sqlite_store.write() as connection:
            for table in schema.metadata.sorted_tables:
                connection.execute(table.delete())
        return sqlite_store

    return clear


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(decided)
def test_a_withdrawal_lists_every_decision_that_a_full_scan_finds_and_no_other(empty, drawn) -> None:
    store = empty()
    write(store, [_sound(number, *each) for number, each in enumerate(drawn)])
    keys = [(uses.INDICATOR, uses.indicator_key(d, s, r)) for d in DIGESTS for s in SOURCES for r in REFERENCES]
    keys += [(uses.POLICY, digit * 64) for digit in "12"]
    with store.write() as connection:
        for kind, key in keys:
            said = {"by": "ada", "reason": "wrong", "now": NOW, "randomness": secrets.token_bytes}
            begun = withdrawals.begin(connection, kind, key, withdrawals.Change.WITHDRAWN, **said)
            direct = {i.decision_id for i in withdrawals.items(connection, begun.id) if i.how == "direct"}
            assert direct == by_reading_all(connection, kind, key)


@settings(max_examples=60, deadline=None)
@given(decided)
def test_the_migration_reads_old_decisions_as_new_ones_are_written(drawn) -> None:
    migration = _migration()
    for number, each in enumerate(drawn):
        decision = _sound(number, *each)
        assert migration._uses(decision.model_dump_json()) == set(uses.of_decision(decision))
    assert migration._uses("{") == migration._uses('{"policies": 3}') == set()


def test_a_decision_that_used_nothing_runs_no_statement() -> None:
    quiet = decision_of(1, [Finding(check="a", code="payout.velocity")], [], [])
    refuses = SimpleNamespace()  # a connection that cannot do anything
    uses.write(refuses, quiet)  # type: ignore[arg-type]
    assert uses.still_as_found(refuses, quiet)  # type: ignore[arg-type]


def test_a_decision_on_an_indicator_that_is_not_there_any_more_is_not_recorded(store: Store) -> None:
    said = {"digest": "k1:aa", "source": "IWF", "reference": "7", "status": "confirmed"}
    decision = decision_of(1, [Finding(check="indicator_match", code="indicator.match", evidence=said)], [], [])
    with pytest.raises(Superseded):
        write(store, [decision])
    with store.read() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM events")).scalar_one() == 0


def _sound(number: int, found: list[Finding], matched: list[RuleMatch], policies: list[PolicyRef]) -> Decision:
    """A decision in which a rule of a policy appears once, as the evaluation has it."""
    return decision_of(number, found, list({(m.policy, m.rule): m for m in matched}.values()), policies)


def _migration():
    spec = spec_from_file_location("keeping_holds", SCRIPTS / "versions" / "0003_keeping_holds.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
