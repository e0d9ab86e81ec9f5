"""The synthetic portfolio, what the checks find in it, and whom policies meet there."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from paycordon import checks as builtin_checks
from paycordon.backtest.judge import Selection
from paycordon.backtest.portfolio import PortfolioHistory
from paycordon.backtest.rates import Portrait, portrait, unequal
from paycordon.backtest.run import Keys, Run, Settings, run
from paycordon.backtest.state import State, opened
from paycordon.cardnumbers import looks_like_card_number
from paycordon.decisions import Decision, Evaluation, Outcome
from paycordon.errors import ConfigError
from paycordon.events import EventType
from paycordon.plugins import Plugins
from paycordon.policy import PolicyFiles, load_set
from paycordon.policy.packs import install, pack_content, pack_file, pack_names
from paycordon.portfolio import HONEST, PLANTED, START
from paycordon.screening import Cordon, Limits
from paycordon.store import Store
from paycordon.testing import FrozenClock, Label, Portfolio

KEYS = Keys({"k1": bytes(range(32))}, "k1")
SELECTION = Selection(
    "packs",
    PolicyFiles(tuple(Path(pack_file(name)) for name in pack_names())),
    {Path(pack_file(name)): pack_content(name) for name in pack_names()},
)


def test_the_same_seed_gives_the_same_events_and_another_gives_others() -> None:
    once, again, other = Portfolio(3, 0.05), Portfolio(3, 0.05), Portfolio(4, 0.05)

    assert once.lines == again.lines
    assert (once.labels, once.indicators, once.blocked) == (again.labels, again.indicators, again.blocked)
    assert once.lines != other.lines


def test_there_is_everybody_and_everything_is_in_order() -> None:
    portfolio = Portfolio(1, 0.05)

    assert {label.kind for label in portfolio.labels.values()} == {*HONEST, *PLANTED}
    assert all(label.planted is (label.kind in PLANTED) for label in portfolio.labels.values())
    times = [line["occurred_at"] for line in portfolio.lines]
    assert times == sorted(times)
    assert {line["type"] for line in portfolio.lines} == {
        "merchant.onboarding",
        "merchant.changed",
        "payment.succeeded",
        "payment.refunded",
        "payout.requested",
        "dispute.opened",
    }


def test_each_event_is_a_whole_event_and_its_id_is_its_own() -> None:
    portfolio = Portfolio(2, 0.05)

    events = list(portfolio.events())

    assert len({event.id for event in events}) == len(events) == len(portfolio.lines)
    assert min(event.occurred_at for event in events) >= START
    assert all(event.mode == "test" for event in events)
    values = {identifier.value or "" for event in events for identifier in event.identifiers}
    assert not any(looks_like_card_number(value) for value in values)


def test_nobody_is_paid_out_more_than_was_taken() -> None:
    money: dict[str, int] = defaultdict(int)
    signs = {EventType.PAYMENT_SUCCEEDED: 1, EventType.PAYOUT_REQUESTED: -1}
    for line in Portfolio(1, 0.05).lines:
        part = line.get("payment") or line.get("payout")
        if part and line["type"] in signs:
            money[line["merchant"]["id"]] += signs[line["type"]] * part["amount"]["minor"]

    assert min(money.values()) >= 0


def test_a_portfolio_has_some_size() -> None:
    with pytest.raises(ConfigError, match=r"between 0\.05 and 50"):
        Portfolio(1, 0.01)


@pytest.fixture(scope="module")
def small() -> Portfolio:
    portfolio = Portfolio(2, 0.05)
    portfolio.indicators.clear()  # the store that it is compared with knows none, and has blocked nobody
    portfolio.blocked.clear()
    return portfolio


@pytest.fixture(scope="module")
def judged(small: Portfolio) -> tuple[Portrait, dict[str, object]]:
    with opened(None) as state:
        done = judge(small, state)
        found = portrait(done, small, 2.0)
        answers = answers_of(done)
        done.duck.close()
    return found, answers


def judge(portfolio: Portfolio, state: State) -> Run:
    history = PortfolioHistory(portfolio, KEYS.digester())
    return run(history, {"new": SELECTION}, state, KEYS, Settings(processes=1, strict=True), lambda *_: None)


def answers_of(done: Run) -> dict[str, object]:
    """What the packs said, by event: rules with outcomes, and points."""
    rows = done.duck.execute("SELECT e.id, j.new_evaluation FROM judged AS j JOIN events AS e USING (position)")
    return {id_: said(Evaluation.model_validate_json(text)) for id_, text in rows.fetchall()}


def said(evaluated: Evaluation | Decision) -> object:
    matches = [(m.policy, m.rule, m.outcome) for m in evaluated.matches if m.policy != "paycordon"]
    return sorted(matches), sorted((s.policy, s.typology, s.points, s.rules) for s in evaluated.scores)


def test_what_the_portfolio_is_judged_as_is_what_would_be_decided_live(
    small: Portfolio, judged: tuple[Portrait, dict[str, object]], sqlite_store: Store, tmp_path: Path
) -> None:
    kinds = ("shared-network", "abuse-on-demand", "taken-over")
    chosen = {each.merchant for each in small.labels.values() if each.kind in kinds} | {"tutor-0", "family-abroad-0"}
    for name in pack_names():
        install(name, tmp_path)
    policies = load_set(PolicyFiles(tuple(tmp_path / pack_file(name) for name in pack_names())))
    clock = FrozenClock()
    plugins = Plugins({"checks": builtin_checks})
    cordon = Cordon(
        sqlite_store,
        policies,
        plugins,
        KEYS.digester(),
        clock=clock,
        limits=Limits(budget=timedelta(minutes=1), check_deadline=timedelta(minutes=1)),
    )
    compared: Counter[bool] = Counter()
    try:
        for event in small.events():
            if event.merchant.id in chosen:
                decision = cordon.screen(event)
                if event.stage != "payment":
                    assert said(decision) == judged[1][event.id], event.id
                    compared[bool(decision.matches)] += 1
    finally:
        cordon.close()
    assert min(compared[True], compared[False]) > 20


def test_planted_patterns_are_found_by_the_packs_that_describe_them(judged: tuple[Portrait, object]) -> None:
    at_least = {(each.name, each.says): each for each in judged[0].outcomes}
    meant = {
        "fatf-ocse": "abuse-on-demand",
        "austrac-ocse": "abuse-on-demand",
        "fincen-sextortion": "extortion-then-stop",
        "fincen-trafficking": "trafficking-front",
        "merchant-acquisition": "taken-over",
        "card-networks": "bust-out",
    }

    for policy, pattern in meant.items():
        assert at_least[policy, Outcome.REVIEW].patterns[pattern].merchants > 0, policy


def test_honest_merchants_are_seldom_held(judged: tuple[Portrait, object]) -> None:
    for each in judged[0].outcomes:
        if each.says == Outcome.HOLD:
            assert each.honest.rate <= 0.02, each.name
        assert each.kinds.keys() <= set(HONEST)
        assert each.patterns.keys() <= set(PLANTED)
        assert each.honest.merchants == sum(hits.merchants for hits in each.kinds.values())


def test_every_rule_has_its_rates_with_its_status(judged: tuple[Portrait, object]) -> None:
    names = [each.name for each in judged[0].rules]

    policies = load_set(SELECTION.files, read=SELECTION.content.__getitem__)
    assert {f"{rule.policy}/{rule.id}" for rule in policies.rules} <= set(names)
    assert all(each.status for each in judged[0].rules if "typology." not in each.name and "on_error" not in each.name)


def test_countries_are_compared_among_honest_merchants_only() -> None:
    def label(country: str, number: int, planted: bool = False) -> Label:
        return Label(f"{country}-{planted}-{number}", "shop", planted, country)

    every = [label(country, n) for country, many in (("NL", 80), ("PH", 10), ("KE", 9)) for n in range(many)]
    every += [label("NL", n, True) for n in range(50)]
    labels = {each.merchant: each for each in every}
    met = [f"NL-False-{n}" for n in range(2)] + [f"PH-False-{n}" for n in range(2)] + ["KE-False-0", "KE-False-1"]
    met += [f"NL-True-{n}" for n in range(50)]

    (found,) = unequal(met, labels, 2.0)  # too few merchants are of Kenya to be compared

    assert (found.country, found.hits.merchants, found.hits.of) == ("PH", 2, 10)
    assert found.ratio == pytest.approx(0.2 / (6 / 99))
    assert unequal(met, labels, 3.4) == unequal([], labels, 2.0) == ()


def test_findings_come_from_the_built_in_checks() -> None:
    history = PortfolioHistory(Portfolio(4, 0.05), KEYS.digester())
    lines = b"".join(chunk.lines for chunk, _ in history.chunks()).splitlines()
    found = Counter(f["code"] for line in lines for f in json.loads(line).get("findings", ()))

    assert found.keys() >= {"identifier.shared", "payout.destination_changed"}
    assert datetime.fromisoformat(json.loads(lines[0]).get("event", json.loads(lines[0]))["occurred_at"]) >= START
