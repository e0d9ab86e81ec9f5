"""What a report counts, and how it is shown."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from paycordon.backtest.compare import report
from paycordon.backtest.html import render, write
from paycordon.backtest.report import Report, Tally, metric_names
from paycordon.backtest.thresholds import parse
from paycordon.errors import ConfigError

DAY = timedelta(days=1)


def reported(history: Any, lines: list[Any], seed: str = "1", sample: int = 3, **sides: Path) -> Report:
    path = history.write(lines)
    with history.run(path, **sides) as done:
        return report(done, within=90 * DAY, with_standing=False, sample=sample, seed=seed)


@pytest.fixture
def compared(history: Any) -> Report:
    """From `hold above 900` to `block above 500`, which also forgives nothing; in four months."""
    start = history.start
    lines = [
        history.payout(1, merchant=1, minor=950_00),  # held, then blocked
        history.payout(2, merchant=2, minor=600_00),  # allowed, then blocked; disputed later
        history.payout(3, merchant=2, minor=600_00),
        history.payout(4, merchant=3, minor=600_00),  # allowed, then blocked; refunded later
        history.payout(5, merchant=4, minor=600_00),  # allowed, then blocked; nothing for 90 days
        history.payout(6, merchant=7, minor=600_00, currency="SEK"),
        history.about("dispute.opened", 10, 2, start + 30 * DAY),
        history.about("payment.refunded", 11, 3, start + 30 * DAY),
        history.about("dispute.opened", 12, 4, start + 100 * DAY),
        history.payout(20, merchant=5, minor=600_00, occurred_at=(start + 119 * DAY).isoformat()),
        "no json",
        history.payout(2),
        history.about("payment.succeeded", 21, 4, start + 120 * DAY),
    ]
    old = history.policy("old.yaml")
    new = history.policy("new.yaml", large=500_00, then="block", version=2)
    return reported(history, lines, old=old, new=new)


def test_each_change_is_of_one_kind_in_merchants_and_money(compared: Report) -> None:
    found = {effect.kind: effect.total for effect in compared.effects if effect.total.events}

    assert found == {"newly_blocked": Tally(events=6, merchants=5, money={"EUR": 3_950_00})}
    assert compared.affected == found["newly_blocked"]
    assert compared.unaffected.total == Tally(events=3, merchants=3, money={"EUR": 100_00, "SEK": 600_00})
    assert sum(tally.events for tally in compared.sides[1].outcomes.values()) == 9


def test_what_became_of_the_merchants_counts_for_ninety_days_as_far_as_is_known(compared: Report) -> None:
    blocked = compared.effects[0]

    assert (blocked.disputed.events, blocked.disputed.merchants) == (2, 1)
    assert (blocked.refunded.events, blocked.refunded.merchants) == (1, 1)
    assert (blocked.clean.events, blocked.clean.merchants) == (3, 3)  # of merchants 1, 4 and 5
    assert blocked.not_known_yet == 1  # of merchant 5, the day before the end


def test_what_was_read_adds_up(compared: Report) -> None:
    history = compared.history

    assert (history.read, history.repeated, history.judged, history.bad) == (12, 1, 9, 1)
    assert history.bad_lines[0][0] == 11
    assert history.merchants == 6


def test_rules_say_what_they_change(compared: Report) -> None:
    large = next(rule for rule in compared.rules if rule.rule == "payouts/large")

    assert large.old is not None
    assert (large.old.events, large.new.events, large.gained_events, large.lost_events) == (1, 6, 5, 0)


def test_groups_show_their_rate_beside_that_of_all_and_small_ones_are_marked(history: Any) -> None:
    lines = [history.payout(n, merchant=100 + n, minor=950_00 if n < 8 else 1) for n in range(40)]
    lines += [history.payout(100 + n, merchant=7, minor=950_00) for n in range(2)]

    found = reported(history, lines, new=history.policy())

    swedish, dutch = found.countries
    assert (swedish.group, swedish.merchants, swedish.affected, swedish.is_small) == ("SE", 1, 1, True)
    assert (dutch.group, dutch.merchants, dutch.affected, dutch.is_small) == ("NL", 40, 8, False)
    assert (dutch.rate, swedish.rate) == (0.2, 1.0)
    assert dutch.ratio == pytest.approx(0.2 / (9 / 41))
    assert found.metrics()["country_disparity"][0] == dutch.ratio  # the other one is too small to say anything


def test_merchants_of_no_known_country_are_a_group(history: Any) -> None:
    found = reported(history, [history.payout(1) | {"merchant": {"id": "m_1"}}], new=history.policy())

    assert [group.group for group in (*found.countries, *found.mccs)] == ["not known", "not known"]


def test_released_and_lowered_events_are_told_apart(history: Any) -> None:
    lines = [history.payout(1, minor=950_00), history.payout(2, minor=700_00)]
    strict, mild = history.policy("a.yaml", large=600_00, then="block"), history.policy("b.yaml", large=900_00)

    found = reported(history, lines, old=strict, new=mild)

    assert {e.kind: e.total.events for e in found.effects if e.total.events} == {
        "newly_lowered": 1,
        "newly_released": 1,
    }


def test_a_backtest_of_one_policy_says_what_it_stops(history: Any) -> None:
    lines = [history.payout(n, merchant=1, minor=950_00 if n == 9 else 1) for n in range(10)]

    found = reported(history, lines, new=history.policy())

    assert {e.kind: e.total.events for e in found.effects} == {"blocked": 0, "held": 1, "reviewed": 6}
    assert found.affected.events == 1  # a review stops nothing


def test_sums_larger_than_any_amount_are_exact(history: Any) -> None:
    lines = [history.payout(n, minor=2**63 - 1) for n in range(5)]

    assert reported(history, lines, new=history.policy()).history.money == {"EUR": 5 * (2**63 - 1)}


def test_the_same_seed_shows_the_same_samples_and_they_explain_themselves(history: Any) -> None:
    finding = {"check": "c", "code": "indicator.match", "confidence": 0.5, "evidence": {"source": "synthetic"}}
    lines = [{"event": history.payout(n, minor=950_00), "findings": [finding] if n == 3 else []} for n in range(30)]
    policy = history.policy()

    first, again = (reported(history, lines, new=policy).samples for _ in range(2))
    other = reported(history, lines, seed="2", new=policy).samples

    assert first == again
    assert {sample.position for sample in first} != {sample.position for sample in other}
    blocked = next(sample for sample in first if sample.kind == "blocked")
    assert blocked.findings[0].evidence == {"source": "synthetic"}
    assert [match.rule for match in blocked.sides["new"].matches] == ["large", "known"]
    assert blocked.sides["new"].aggregates == {"payouts.payouts_1d": 1}


@pytest.mark.parametrize(
    ("text", "crossed"),
    [
        ("newly_blocked_merchants > 4", True),
        ("newly_blocked_merchants > 5", False),
        ("newly_blocked_merchants>=5", True),
        ("changed_events >= 66.6%", True),
        ("changed_events > 67 %", False),
        ("newly_blocked_money > 3949.99 EUR", True),
        ("newly_blocked_money > 3950 EUR", False),
        ("newly_blocked_money > 0 SEK", False),
        ("newly_blocked_clean_merchants > 2", True),
        ("newly_held_events < 1", True),
        ("bad_lines > 0", True),
        ("unclear_events > 0", False),
        ("country_disparity > 1.5", False),
    ],
)
def test_thresholds(compared: Report, text: str, crossed: bool) -> None:
    threshold = parse(text, metric_names(is_diff=True))

    assert (threshold.crossed(compared) is not None) is crossed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("newly_hold_merchants > 5", "did you mean `newly_held_merchants`"),
        ("stopped_events > 5", "there is no metric `stopped_events`"),
        ("newly_held_merchants", "is not a threshold"),
        ("newly_held_merchants == 5", "is not a threshold"),
        ("newly_held_merchants > many", "`many` is no number"),
        ("newly_held_money > 5", "an amount is written with its currency"),
        ("newly_held_money > 5%", "an amount is written with its currency"),
        ("country_disparity > 5%", "has no percentage"),
        ("__import__('os') > 1", "is not a threshold"),
    ],
)
def test_what_is_no_threshold_is_an_error_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, metric_names(is_diff=True))

    assert message in str(raised.value)
    assert raised.value.hint


@pytest.mark.parametrize("is_diff", [True, False])
def test_the_names_of_metrics_are_those_of_a_report(history: Any, compared: Report, is_diff: bool) -> None:
    found = compared if is_diff else reported(history, [history.payout(1)], new=history.policy())

    names = metric_names(is_diff=is_diff)
    assert set(names) == set(found.metrics())
    assert {name for name, has in names.items() if has} == {
        name for name, (_, base) in found.metrics().items() if base is not None
    }


class _Page(HTMLParser):
    """Collects the elements of a page, and checks that they close in order."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes out of order"


HOSTILE = "<script>alert(1)</script>\"'"


def test_the_page_holds_no_script_and_reaches_for_nothing(history: Any) -> None:
    finding = {"check": HOSTILE, "code": "indicator.match", "evidence": {HOSTILE: HOSTILE}}
    hostile = history.payout(1, minor=950_00) | {"merchant": {"id": HOSTILE, "name": HOSTILE}}
    lines = [{"event": hostile, "findings": [finding]}, '{"<script>": 1}']

    text = render(reported(history, lines, new=history.policy()), (HOSTILE,))

    page = _Page(text)
    assert page.open == []
    assert {"html", "svg", "table", "style", "rect"} <= set(page.tags)
    assert not {"script", "link", "img", "iframe", "a", "form", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"src", "href"}]
    assert "<script>" not in text
    assert "http://" not in text.replace("http-equiv", "")
    assert "https://" not in text
    assert "Internal." in text


def test_the_page_of_a_comparison_shows_kinds_groups_rules_and_samples(compared: Report) -> None:
    text = render(compared)

    assert _Page(text).open == []
    for part in (
        "newly blocked",
        "3,950.00 EUR",
        "payouts/large",
        "line 11",
        "m_2",
        "payouts.payouts_1d",
        "prefers-color-scheme",
    ):
        assert part in text


def test_the_page_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("older")
    path.chmod(0o644)

    write(path, "newer")

    assert path.read_text() == "newer"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path / "none" / "report.html", "x")
