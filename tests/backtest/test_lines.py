"""Histories as they come: what is an event is read as live, what is none is counted and named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from paycordon.backtest import history as histories
from paycordon.backtest.history import HistoryInvalid, open_file
from paycordon.backtest.lines import event_from
from paycordon.backtest.run import Settings
from paycordon.errors import ConfigError
from paycordon.events import Event

CARD = "4111111111111111"
EVENT = {
    "id": "evt_1",
    "type": "payout.requested",
    "occurred_at": "2026-03-01T10:00:00+01:00",
    "gateway": "acme_pay",
    "instance": "acme",
    "account": {"id": "acct_1", "country": "NL"},
    "payout": {"id": "po_1", "amount": {"minor": 100, "currency": "EUR"}},
}


def both(text: str) -> tuple[Any, Any]:
    """What the backtest and what the engine make of a text: an event, or none."""

    def read(function: Any) -> Any:
        try:
            return function(text)
        except ValidationError:
            return None

    return read(event_from), read(Event.model_validate_json)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": ""},
        {"payout": None},
        {"type": "dispute.opened"},
        {"type": "merchant.changed", "payout": None},
        {"merchant": {"name": "Café Ö"}},
        {"merchant": {"name": CARD}},
        {"merchant": {"name": "4111 1111 1111 1111"}},
        {"merchant": {"name": "٤١١١١١١١١١١١١١١١"}},
        {"extra": {"note": CARD}},
        {"extra": {"a": [[[[1]]]]}},
        {"identifiers": [{"kind": "handle", "value": CARD}]},
        {"identifiers": [{"kind": "phone", "value": CARD}]},
        {"identifiers": [{"kind": "email", "digest": "k1:aa"}]},
        {"identifiers": [{"kind": "email"}]},
        {"occurred_at": "2026-03-01"},
        {"unknown": 1},
        {"payout": {"amount": {"minor": 1.5, "currency": "EUR"}}},
        {"payout": {"amount": {"minor": 2**63, "currency": "EUR"}}},
    ],
)
def test_an_event_is_read_as_the_engine_reads_it(changes: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        fast, full = both(json.dumps(EVENT | changes, ensure_ascii=ascii_only))

        assert fast == full


@given(
    name=st.text(max_size=40) | st.from_regex(r"[0-9 \-]{10,24}", fullmatch=True),
    payer=st.from_regex(r"[a-z]{0,2}[0-9]{8,20}", fullmatch=True),
)
def test_no_card_number_gets_past_the_fast_path(name: str, payer: str) -> None:
    payment = {"id": "py_1", "amount": {"minor": 1, "currency": "EUR"}, "payer": payer}
    changes = {"type": "payment.succeeded", "payout": None, "payment": payment, "merchant": {"name": name}}

    fast, full = both(json.dumps(EVENT | changes))

    assert fast == full


def test_a_deeply_nested_extra_is_no_event_for_either() -> None:
    text = json.dumps(EVENT)[:-1] + ', "extra": {"a": ' + "[" * 60 + "]" * 60 + "}}"

    assert both(text) == (None, None)


def test_lines_that_cannot_be_used_are_counted_and_named_and_the_others_count(history: Any) -> None:
    good = history.payout(1)
    secret = "synthetic-secret"
    path = history.write(
        [
            good,
            "{",
            "",
            json.dumps(history.payout(2) | {"id": ""}),
            json.dumps({"event": history.payout(3), "findings": [{"check": secret}]}),
            json.dumps({"event": history.payout(4), "unknown": secret}),
            "[1]",
            json.dumps(history.payout(5)),
        ]
    )
    with history.run(path, new=history.policy()) as done:
        assert history.outcomes(done) == {1: "allow", 8: "allow"}
        assert [bad.position for bad in done.bad] == [2, 4, 5, 6, 7]
        problems = " ".join(bad.problem for bad in done.bad)
        assert "`id`" in problems
        assert "`findings.0.code`" in problems
        assert "`unknown`" in problems
        assert secret not in problems


def test_a_line_that_is_no_text_or_too_long_is_one_bad_line(history: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(histories, "MAX_LINE_BYTES", 2_000)
    path = history.write([history.payout(1)])
    long = json.dumps(history.payout(2) | {"extra": {"a": "x" * 9_000}}).encode()
    path.write_bytes(path.read_bytes() + long + b"\n" + b'"\xff"\n' + json.dumps(history.payout(3)).encode())

    with history.run(path, new=history.policy()) as done:
        assert history.outcomes(done) == {1: "allow", 4: "allow"}
        assert [bad.position for bad in done.bad] == [2, 3]


def test_strict_ends_at_the_first_bad_line(history: Any) -> None:
    path = history.write([history.payout(1), "{", history.payout(2)])

    with (
        pytest.raises(HistoryInvalid, match=r"line 2 of `history.jsonl` cannot be used"),
        history.run(path, settings=Settings(processes=1, strict=True), new=history.policy()),
    ):
        pass


@pytest.mark.parametrize("lines", [[], ["{", "{"]])
def test_a_history_without_events_is_an_error(history: Any, lines: list[str]) -> None:
    with pytest.raises(HistoryInvalid, match="holds no event"), history.run(history.write(lines), new=history.policy()):
        pass


def test_a_damaged_gzip_is_an_error_that_says_where(history: Any) -> None:
    path = history.write([history.payout(n) for n in range(500)])
    packed = path.with_name("history.jsonl.gz")
    content = gzip.compress(path.read_bytes())
    packed.write_bytes(content[: len(content) // 2])

    with (
        pytest.raises(HistoryInvalid, match=r"`history.jsonl.gz` is damaged: it cannot be read beyond line 1"),
        history.run(packed, new=history.policy()),
    ):
        pass


def test_gzip_and_parquet_say_what_json_lines_say(history: Any) -> None:
    finding = {"check": "c", "code": "indicator.match", "confidence": 0.5}
    events = [history.payout(n, minor=n * 100_00) for n in range(20)]
    lines = [{"event": event, "findings": [finding] if n % 7 == 0 else []} for n, event in enumerate(events)]
    path = history.write(lines)
    packed = path.with_name("packed.jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    parquet = path.with_name("history.parquet")
    columns = {
        "event": [json.dumps(event, indent=1) for event in events],
        "findings": [json.dumps(line["findings"]) if line["findings"] else None for line in lines],
        "ignored": list(range(20)),
    }
    pq.write_table(pa.table(columns), parquet)

    found = []
    for source in (path, packed, parquet):
        with history.run(source, new=history.policy()) as done:
            found.append(history.outcomes(done))

    assert found[0] == found[1] == found[2]
    assert {"allow", "hold", "block"} <= set(found[0].values())


def test_a_parquet_row_that_is_no_json_is_a_bad_row(history: Any) -> None:
    parquet = history.directory / "history.parquet"
    pq.write_table(pa.table({"event": [json.dumps(history.payout(1)), "{", None, "1\n2"]}), parquet)

    with history.run(parquet, new=history.policy()) as done:
        assert history.outcomes(done) == {1: "allow"}
        assert [bad.position for bad in done.bad] == [2, 3, 4]
        assert done.unit == "row"


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "a.parquet").write_text("x")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "b.parquet")

    with pytest.raises(ConfigError, match="there is no history"):
        open_file(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match=r"the kind of history `a.csv` is not known"):
        open_file(tmp_path / "a.csv")
    with pytest.raises(HistoryInvalid, match=r"`a.parquet` is not a Parquet file"):
        open_file(tmp_path / "a.parquet")
    with pytest.raises(HistoryInvalid, match=r"`b.parquet` has no column `event`"):
        open_file(tmp_path / "b.parquet")


def test_plain_identifiers_are_nowhere_on_the_disk(history: Any) -> None:
    value = "synthetic-owner@shop.example"
    line = history.payout(1) | {"identifiers": [{"kind": "email", "value": value}]}
    state = history.directory / "state"
    with history.run(history.write([line]), state, new=history.policy()):
        pass

    assert [file for file in state.rglob("*") if file.is_file() and value.encode() in file.read_bytes()] == []
    assert (state.stat().st_mode & 0o777) == 0o700
