"""What rested on something wrong is found, all of it, and judged again without it; nothing is released by itself."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Standards
from paycordon.decisions import Decision, Outcome
from paycordon.errors import Conflict, NotFound
from paycordon.events import Event, Identifier
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.record.verify import verify
from paycordon.review.proposals import Wish, agree
from paycordon.review.withdrawal import Rejudging, policy_versions, release_unsupported, withdraw_policy
from paycordon.screening import Cordon, Limits
from paycordon.sections import Unsupported
from paycordon.store import Store, cases, holds, indicators, policies, schema, withdrawals
from paycordon.store.indicators import Correction, Indicator
from paycordon.store.withdrawals import How, Item, Verdict, Withdrawal
from paycordon.testing import FrozenClock, make_event

POLICY = """\
policy: payouts
version: {version}
on_error: review
rules:
  - id: known-identifier
    on: [payout.requested]
    when: findings.exists(f, f.code == "indicator.match" && f.confidence >= 0.8)
    then: {severity}
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: seen-with-blocked
    on: [payout.requested]
    when: findings.exists(f, f.code == "identifier.shared_with_blocked")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: large
    on: [payout.requested]
    when: event.payout.amount.minor > 100000
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
"""
BECAUSE = Correction("ada", "the source took it back")
WRONG = Indicator("bank_account", "", "IWF", "case-7", 90, "confirmed")


class Scene:
    """A store, an engine on it, and what a test does with both."""

    def __init__(self, store: Store, directory: Path, digester: Digester, clock: FrozenClock) -> None:
        self.store, self.digester, self.clock, self._directory = store, digester, clock, directory
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        plugins = Plugins({"checks": builtin_checks})
        everybody = Standards(most_merchants=1_000)  # more merchants than usual have the same account here
        self.cordon = Cordon(store, self.policies(), plugins, digester, limits=limits, standards=everybody, clock=clock)

    def policies(self, version: int = 1, severity: str = "hold", *, without: str = "", milder: bool = False):
        path = self._directory / "payouts.yaml"
        policy = POLICY.format(version=version, severity=severity).replace(without or "\0", f"no-{without}")
        path.write_text(policy.replace("0.8", "0.99").replace("100000", "900000") if milder else policy)
        return load_policies([path])

    def know(self, account: str, **values: object) -> Indicator:
        digest = self.digester.digest(Identifier(kind="bank_account", value=account))
        fields = {name: getattr(WRONG, name) for name in Indicator.__slots__} | {"digest": digest} | values
        indicator = Indicator(**fields)
        with self.store.write() as connection:
            indicators.add(connection, indicator, self.clock(), correction=BECAUSE)
        return indicator

    def screen(self, number: int, account: str, minor: int = 100, **values: object) -> Decision:
        self.clock.advance(timedelta(seconds=1))
        event = make_event(
            "payout.requested",
            id=f"evt_{number}",
            account={"id": f"acct_{number}"},
            merchant={"id": f"m_{number}"},
            identifiers=[{"kind": "bank_account", "value": account}],
            payout={"id": f"po_{number}", "amount": {"minor": minor, "currency": "EUR"}},
        )
        return self.cordon.screen(event.model_copy(update=values))

    def withdraw(self, indicator: Indicator) -> Withdrawal:
        named = (indicator.digest, indicator.source, indicator.reference)
        with self.store.write() as connection:
            return indicators.withdraw(connection, *named, self.clock(), correction=BECAUSE)

    def rejudge(self, unsupported: Unsupported = Unsupported.CASE) -> int:
        work = Rejudging(self.store, lambda: self.cordon.policies, unsupported=unsupported, clock=self.clock)
        steps = 0
        while work.step():
            steps += 1
        return steps

    def items(self, withdrawal: Withdrawal) -> dict[str, Item]:
        with self.store.read() as connection:
            return {item.decision_id: item for item in withdrawals.items(connection, withdrawal.id)}

    def case(self, merchant: str) -> tuple[str, int, list[str]]:
        """State, priority and kinds of events of a merchant's newest case."""
        table, lines = schema.cases, schema.case_events
        with self.store.read() as connection:
            query = select(table).where(table.c.merchant == merchant).order_by(table.c.opened_at.desc())
            row = connection.execute(query).first()
            kinds = connection.execute(select(lines.c.kind).where(lines.c.case_id == row.id).order_by(lines.c.id))
            return row.state, row.priority, list(kinds.scalars())

    def assert_log_is_whole(self) -> None:
        report = verify(self.store)
        assert report.ok, report.problems


@pytest.fixture
def scene(store: Store, tmp_path: Path, digester: Digester, clock: FrozenClock) -> Iterator[Scene]:
    made = Scene(store, tmp_path, digester, clock)
    yield made
    made.cordon.close()


def test_every_hold_is_supported_weaker_or_unsupported_without_the_indicator(scene: Scene) -> None:
    wrong = scene.know("A")
    scene.know("A", source="NCMEC", reference="case-8", confidence=50)
    alone, also_large = scene.screen(1, "A"), scene.screen(2, "A", minor=200_000)
    untouched = scene.screen(3, "B", minor=200_000)
    scene.cordon.adopt(scene.policies(severity="block"))
    blocked = scene.screen(4, "A", minor=200_000)

    withdrawal = scene.withdraw(wrong)
    found = scene.items(withdrawal)
    assert {id_: item.how for id_, item in found.items()} == dict.fromkeys(
        [alone.id, also_large.id, blocked.id], How.DIRECT
    )
    assert {item.verdict for item in found.values()} == {None}
    scene.rejudge()

    judged = scene.items(withdrawal)
    assert {id_: item.verdict for id_, item in judged.items()} == {
        alone.id: Verdict.UNSUPPORTED,
        also_large.id: Verdict.SUPPORTED,
        blocked.id: Verdict.WEAKER,
    }
    assert {each["rule"] for each in judged[also_large.id].holds} == {"payouts/large"}
    for merchant in ("m_1", "m_2", "m_4"):
        assert scene.case(merchant) == ("open", cases.URGENT, ["decision", "withdrawal"])
    assert scene.case("m_3")[2] == ["decision"]
    assert untouched.id not in judged
    with scene.store.read() as connection:
        assert all(hold.active for hold in holds.listed(connection, active_only=False))
    scene.assert_log_is_whole()


def test_the_same_event_is_judged_the_same_when_nothing_was_withdrawn_from_it(scene: Scene) -> None:
    scene.know("A", reference="case-9")
    wrong = scene.know("A")
    decision = scene.screen(1, "A")

    withdrawal = scene.withdraw(wrong)
    scene.rejudge()

    (hold,) = scene.items(withdrawal)[decision.id].holds
    assert (hold["verdict"], hold["rule"]) == (Verdict.SUPPORTED, "payouts/known-identifier")


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"confidence": 95}, Verdict.SUPPORTED),
        ({"confidence": 40}, Verdict.UNSUPPORTED),
        ({"status": "doubtful"}, Verdict.SUPPORTED),
        ({"valid_until": FrozenClock()() - timedelta(days=1)}, Verdict.UNSUPPORTED),
        ({"valid_from": FrozenClock()() + timedelta(days=1)}, Verdict.UNSUPPORTED),
    ],
)
def test_a_correction_reaches_what_used_the_indicator_as_it_was(scene: Scene, values, verdict: Verdict) -> None:
    scene.know("A")
    decision = scene.screen(1, "A")
    scene.know("A", **values)
    scene.rejudge()

    with scene.store.read() as connection:
        (withdrawal,) = withdrawals.listed(connection)
    assert withdrawal.change == "corrected"
    assert {name: withdrawal.detail["after"][name] for name in values}.keys() == values.keys()
    assert scene.items(withdrawal)[decision.id].verdict is verdict
    scene.assert_log_is_whole()


def test_correcting_what_nobody_used_or_adding_the_same_again_begins_nothing(scene: Scene) -> None:
    scene.know("A")
    scene.screen(1, "A")
    scene.know("A")
    scene.know("B")
    scene.know("B", confidence=1)
    with scene.store.read() as connection:
        assert withdrawals.listed(connection) == []


def test_a_block_through_an_identifier_shared_with_a_wrongly_blocked_merchant_is_found(scene: Scene) -> None:
    wrong = scene.know("A")
    scene.cordon.adopt(scene.policies(severity="block"))
    first = scene.screen(1, "A")
    named = [{"kind": "bank_account", "value": "A"}, {"kind": "phone", "value": "+31201234567"}]
    spread = make_event("payout.requested", id="evt_2", account={"id": "acct_1"}, merchant={"id": "m_1"})
    known = scene.cordon.screen(Event.model_validate(spread.model_dump() | {"identifiers": named[1:]}))
    scene.clock.advance(timedelta(seconds=1))
    other = make_event("payout.requested", id="evt_3", account={"id": "acct_3"}, merchant={"id": "m_3"})
    suspected = scene.cordon.screen(Event.model_validate(other.model_dump() | {"identifiers": named[1:]}))
    assert suspected.rule == "payouts/seen-with-blocked"

    withdrawal = scene.withdraw(wrong)
    scene.rejudge()

    judged = scene.items(withdrawal)
    hows = {first.id: How.DIRECT, known.id: How.DIRECT, suspected.id: How.SHARED}
    assert {id_: item.how for id_, item in judged.items()} == hows
    verdicts = {id_: item.verdict for id_, item in judged.items()}
    assert verdicts.pop(known.id) is Verdict.NOTHING, "it placed no second hold"
    assert set(verdicts.values()) == {Verdict.UNSUPPORTED}
    scene.assert_log_is_whole()


def test_a_hold_two_hops_from_a_wrongly_blocked_merchant_is_found(scene: Scene, tmp_path: Path) -> None:
    wrong = scene.know("A")
    (tmp_path / "near.yaml").write_text(
        POLICY.format(version=1, severity="block").replace("identifier.shared_with_blocked", "identifier.near_blocked")
    )
    scene.cordon.adopt(load_policies([tmp_path / "near.yaml"]))
    phone, device = ({"kind": kind, "value": value} for kind, value in (("phone", "+31201234567"), ("device", "d-1")))

    def seen(number: int, merchant: str, *identifiers: dict[str, str]) -> Decision:
        scene.clock.advance(timedelta(seconds=1))
        event = make_event("payout.requested", id=f"evt_{number}", account={"id": f"acct_{merchant}"})
        values = {"merchant": {"id": merchant}, "identifiers": identifiers}
        return scene.cordon.screen(Event.model_validate(event.model_dump() | values))

    first = seen(1, "m_1", {"kind": "bank_account", "value": "A"}, phone)
    between = seen(2, "m_2", phone, device)
    suspected = seen(3, "m_3", device)
    assert (first.outcome, between.outcome, suspected.rule) == (
        Outcome.BLOCK, Outcome.ALLOW, "payouts/seen-with-blocked"
    )  # fmt: skip

    withdrawal = scene.withdraw(wrong)
    scene.rejudge()

    judged = scene.items(withdrawal)
    assert judged[suspected.id].how is How.SHARED
    assert judged[suspected.id].verdict is Verdict.UNSUPPORTED


def test_a_closed_case_is_opened_again_unless_nothing_stands_any_more(scene: Scene) -> None:
    wrong = scene.know("A")
    upheld, released = scene.screen(1, "A"), scene.screen(2, "A")
    with scene.store.write() as connection:
        connection.execute(schema.holds.update().values(two_people=0))
        (hold,) = holds.of_decisions(connection, [released.id])
        holds.release(connection, hold.id, by="ada", reason="papers were fine", now=scene.clock())
        closed = {"state": "closed", "closed_at": 1, "closed_by": "ada", "resolution": "uphold", "priority": 3}
        connection.execute(schema.cases.update().where(schema.cases.c.merchant == "m_1").values(closed))
    withdrawal = scene.withdraw(wrong)
    scene.rejudge()

    assert scene.case("m_1") == ("open", cases.PRESSING, ["decision", "withdrawal"])
    assert scene.case("m_2")[0] == "closed"
    assert scene.items(withdrawal)[upheld.id].verdict is Verdict.UNSUPPORTED
    assert scene.items(withdrawal)[released.id].verdict is Verdict.NOTHING


def test_judging_again_goes_on_where_it_was_cut_off_and_is_done_once(scene: Scene) -> None:
    wrong = scene.know("A")
    for number in range(120):
        scene.screen(number, "A")
    withdrawal = scene.withdraw(wrong)
    first = Rejudging(scene.store, lambda: scene.cordon.policies, clock=scene.clock)
    assert first.step()
    with scene.store.read() as connection:
        assert withdrawals.tally(connection, withdrawal.id) == {"to be judged": 70, "unsupported": 50}

    assert scene.rejudge() == 3
    assert scene.rejudge() == 0

    with scene.store.read() as connection:
        assert withdrawals.tally(connection, withdrawal.id) == {"unsupported": 120}
        assert withdrawals.get(connection, withdrawal.id).finished_at is not None
        told = connection.execute(text("SELECT COUNT(*) FROM case_events WHERE kind = 'withdrawal'")).scalar_one()
        kinds = connection.execute(text("SELECT kind FROM log WHERE kind LIKE 'withdrawal.%' ORDER BY seq")).scalars()
        assert list(kinds) == ["withdrawal.begun", *["withdrawal.judged"] * 3, "withdrawal.finished"]
    assert told == 120
    scene.assert_log_is_whole()


def test_a_withdrawal_that_fails_leaves_nothing_behind(scene: Scene) -> None:
    wrong = scene.know("A")
    scene.screen(1, "A")

    def withdraw_and_die() -> None:
        named = (wrong.digest, wrong.source, wrong.reference)
        with scene.store.write() as connection:
            indicators.withdraw(connection, *named, scene.clock(), correction=BECAUSE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        withdraw_and_die()
    with scene.store.read() as connection:
        assert withdrawals.listed(connection) == []
        kept = indicators.counting(connection, wrong.digest, wrong.source, wrong.reference)
        assert kept is not None
        assert (kept.withdrawn_at, kept.confidence) == (None, wrong.confidence)


def test_no_decision_is_recorded_on_an_indicator_that_was_withdrawn_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = scene.know("A")
    judged = scene.cordon._judge.evaluate
    withdrawn: list[Withdrawal] = []

    def evaluate(*given):
        if not withdrawn:
            withdrawn.append(scene.withdraw(wrong))
        return judged(*given)

    monkeypatch.setattr(scene.cordon._judge, "evaluate", evaluate)
    decision = scene.screen(1, "A")

    assert (decision.outcome, decision.findings) == (Outcome.ALLOW, ())
    assert scene.items(withdrawn[0]) == {}
    scene.assert_log_is_whole()


def corrected(scene: Scene, with_history: Callable[..., str], *minor: int) -> tuple[Withdrawal, list[Decision]]:
    """Holds by a policy that was too severe: the first on an indicator, the others on amounts; it is withdrawn."""
    digest = with_history(1)
    scene.clock.advance(timedelta(seconds=1))
    scene.know("A")
    decisions = [scene.screen(0, "A"), *(scene.screen(n, f"B{n}", amount) for n, amount in enumerate(minor, start=1))]
    with_history(2, milder=True)
    with scene.store.write() as connection:
        begun = withdraw_policy(connection, digest, by="ada", reason="too severe", now=scene.clock())
    return begun, decisions


def test_release_by_configuration_spares_what_takes_two_people(scene: Scene, with_history: Callable[..., str]) -> None:
    withdrawal, (for_two, for_one) = corrected(scene, with_history, 200_000)
    scene.rejudge(Unsupported.RELEASE)

    with scene.store.read() as connection:
        state = {hold.decision_id: hold for hold in holds.listed(connection, active_only=False)}
    assert state[for_two.id].active
    assert state[for_one.id].released_by == f"withdrawal {withdrawal.id}"
    assert {item.verdict for item in scene.items(withdrawal).values()} == {Verdict.UNSUPPORTED}
    scene.assert_log_is_whole()


def test_holds_are_released_in_bulk_each_once_or_proposed_where_that_takes_two(
    scene: Scene, with_history: Callable[..., str]
) -> None:
    withdrawal, decisions = corrected(scene, with_history, 200_000, 200_000, 1_000_000)
    scene.rejudge()

    ada = Wish(Person("ada", frozenset({Role.ANALYST})), "withdrawn", scene.clock(), secrets.token_bytes)
    released, proposed = release_unsupported(scene.store, withdrawal.id, ada)
    with scene.store.read() as connection:
        left = {hold.decision_id for hold in holds.listed(connection)}
    assert (len(released), len(proposed), left) == (2, 1, {decisions[0].id, decisions[3].id})
    assert release_unsupported(scene.store, withdrawal.id, ada) == ([], [])
    grace = replace(ada, by=Person("grace", frozenset({Role.APPROVER})))
    with scene.store.write() as connection:
        agree(connection, proposed[0], grace)
    with scene.store.read() as connection:
        assert {hold.decision_id for hold in holds.listed(connection)} == {decisions[3].id}
    scene.assert_log_is_whole()


@pytest.fixture
def with_history(scene: Scene) -> Callable[[int], str]:
    """Takes a version of the policy into force and returns its digest."""

    def take(version: int, *, milder: bool = False) -> str:
        found = scene.policies(version, without="known-identifier" if version > 1 else "", milder=milder)
        files = policies.PolicyFiles((scene._directory / "payouts.yaml",), None, None)
        manifest = policies.manifest_of(found, files, [])
        with scene.store.write() as connection:
            before = policies.in_force(connection)
            previous = before.digest if before else None
            named = {"previous": previous, "signers": [], "changes": [], "now": scene.clock()}
            policies.take(connection, found, manifest, **named)
        scene.cordon.adopt(found)
        return str(found.policies[0].ref.digest)

    return take


def test_a_withdrawn_policy_version_is_found_in_the_decisions_that_its_rules_made(
    scene: Scene, with_history: Callable[[int], str]
) -> None:
    digest = with_history(1)
    scene.clock.advance(timedelta(seconds=1))
    scene.know("A")
    quiet, small, large = scene.screen(1, "B"), scene.screen(2, "A"), scene.screen(3, "A", minor=200_000)
    with scene.store.write() as connection, pytest.raises(Conflict, match="is in force"):
        withdraw_policy(connection, digest, by="ada", reason="it was wrong", now=scene.clock())
    scene.clock.advance(timedelta(seconds=1))
    newer = with_history(2)
    after = scene.screen(4, "A", minor=200_000)

    with scene.store.write() as connection:
        assert [each.digest for each in policy_versions(connection)] == [digest, newer]
        withdrawal = withdraw_policy(connection, digest, by="ada", reason="it was wrong", now=scene.clock())
        assert withdrawals.judged_under(connection, digest) == 3
    scene.rejudge()

    judged = scene.items(withdrawal)
    assert {quiet.id, after.id}.isdisjoint(judged)
    # The newer version calls the rule otherwise: the same condition asks for the hold, under its new name.
    assert {id_: item.verdict for id_, item in judged.items()} == dict.fromkeys([small.id, large.id], Verdict.SUPPORTED)
    with scene.store.write() as connection:
        with pytest.raises(Conflict, match="withdrawn before"):
            withdraw_policy(connection, digest, by="ada", reason="again", now=scene.clock())
        with pytest.raises(NotFound):
            withdraw_policy(connection, "0" * 64, by="ada", reason="again", now=scene.clock())
    scene.assert_log_is_whole()


def test_a_process_that_goes_on_under_a_withdrawn_policy_is_found_late(
    scene: Scene, with_history: Callable[[int], str]
) -> None:
    digest = with_history(1)
    scene.clock.advance(timedelta(seconds=1))
    old = scene.cordon.policies
    with_history(2)
    with scene.store.write() as connection:
        withdrawal = withdraw_policy(connection, digest, by="ada", reason="it was wrong", now=scene.clock())
    assert scene.rejudge() == 0
    scene.cordon.adopt(old)
    late = scene.screen(1, "B", minor=200_000)
    scene.rejudge()

    item = scene.items(withdrawal)[late.id]
    assert (item.how, item.verdict) == (How.LATE, Verdict.UNSUPPORTED)  # it is under that version that it was judged
    scene.assert_log_is_whole()


def test_what_cannot_be_judged_again_is_unclear_and_goes_before_a_person(scene: Scene) -> None:
    wrong = scene.know("A")
    decision = scene.screen(1, "A")
    path = scene._directory / "counting.yaml"
    path.write_text(
        "policy: counting\nversion: 1\non_error: review\naggregates:\n  n: {count: payout.requested, window: 24h}\n"
        "rules:\n  - id: many\n    on: [payout.requested]\n    when: aggregates.n > 3\n    then: hold\n"
        "    merchant_reason: additional_information_required\n    references: [synthetic]\n"
    )
    scene.cordon.adopt(load_policies([path]))
    withdrawal = scene.withdraw(wrong)
    scene.rejudge()

    assert scene.items(withdrawal)[decision.id].verdict is Verdict.UNCLEAR
    assert scene.case("m_1") == ("open", cases.URGENT, ["decision", "withdrawal"])


def test_the_list_goes_out_whole_page_by_page(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdrawals, "_PAGE", 2)
    wrong = scene.know("A")
    expected = {scene.screen(number, "A").id for number in range(5)}
    assert set(scene.items(scene.withdraw(wrong))) == expected
    assert json.loads(scene.withdraw(scene.know("B")).key)[1:] == ["IWF", "case-7"]


def test_cases_of_merchants_are_not_mixed_up(scene: Scene) -> None:
    wrong = scene.know("A")
    scene.screen(1, "A")
    with scene.store.write() as connection:
        cases.put_before_person(connection, "m_9", scene.clock(), "note", "something else")
    scene.withdraw(wrong)
    scene.rejudge()
    assert scene.case("m_9")[2] == ["note"]
