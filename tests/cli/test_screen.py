from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from paycordon.store import Store


def recorded(deployment: Path, *, writable: bool = True) -> int:
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}", migrate=writable)
    try:
        with store.read() as connection:
            return int(connection.exec_driver_sql("SELECT COUNT(*) FROM events").scalar_one())
    finally:
        store.close()


def test_an_honest_merchant_passes_with_0(cli, deployment: Path, make_event) -> None:
    Path("event.json").write_text(json.dumps(make_event(), indent=2))

    done = cli("screen", "event.json", "--json")

    assert done.code == 0
    assert done.json["outcome"] == "allow"
    assert recorded(deployment) == 1


def test_a_hold_exits_with_1_and_says_which_rule_and_why(cli, known: str, make_event) -> None:
    done = cli("screen", "-", stdin=json.dumps(make_event()))

    assert done.code == 1
    assert "merchant.onboarding evt_1 at stripe_main: hold" in done.out
    assert "starter/indicator-certain" in done.out
    assert "indicator.match 0.90" in done.out
    assert "shop.example" not in done.out


def test_json_lines_are_screened_in_order_and_answered_one_a_line(cli, known: str, make_event) -> None:
    lines = "\n\n".join(json.dumps(make_event(number)) for number in (3, 1, 2)) + "\n"

    done = cli("screen", "--json", stdin=lines)

    assert done.code == 1
    decisions = [json.loads(line) for line in done.out.splitlines()]
    answers = [(each["event_id"], each["outcome"]) for each in decisions]
    assert answers == [("evt_3", "allow"), ("evt_1", "hold"), ("evt_2", "allow")]


def test_the_same_event_again_gets_the_same_decision(cli, known: str, make_event) -> None:
    first, second = (cli("screen", "--json", stdin=json.dumps(make_event())) for _ in range(2))

    assert first.out == second.out
    assert first.code == second.code == 1


SECRET = "s3cret-looking value"  # must never be repeated by an error
BAD = {
    "no JSON": ("this is not JSON", "<stdin>:1:"),
    "cut off": ('{"id": "evt_1",', "<stdin>:1:"),
    "an array": ("[]", "object"),
    "a wrong type": (json.dumps({"account": SECRET}), "`account`"),
    "a bad time": (json.dumps({"occurred_at": SECRET}), "`occurred_at`"),
    "an unknown field": (json.dumps({"colour": SECRET}), "`colour`"),
    "a deep value": ('{"extra": ' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}", "<stdin>:1:"),
    "a huge number": ('{"payout": {"amount": {"minor": ' + "9" * 10_000 + "}}}", "<stdin>:1:"),
}


@pytest.mark.parametrize(("bad", "told"), BAD.values(), ids=BAD)
def test_bad_input_is_named_by_line_and_field_and_nothing_is_screened(
    cli, deployment: Path, make_event, bad: str, told: str
) -> None:
    content = {**make_event(), **json.loads(bad)} if bad.startswith('{"') and SECRET in bad else None
    second = json.dumps(content) if content else bad

    alone = cli("screen", stdin=second)
    assert alone.code == 2
    assert told in alone.err
    after_a_good_one = cli("screen", stdin=f"{json.dumps(make_event())}\n{second}\n")
    assert after_a_good_one.code == 2
    assert "<stdin>:2:" in after_a_good_one.err

    for done in (alone, after_a_good_one):
        assert done.out == ""
        assert SECRET not in done.err
        assert "Traceback" not in done.err
        assert len(done.err) < 1_000
    assert not (deployment / "paycordon.db").exists() or recorded(deployment) == 0


def test_every_bad_line_is_told_at_once(cli, deployment: Path, make_event) -> None:
    lines = [json.dumps(make_event(1, mode="neither")), json.dumps(make_event(2)), json.dumps({"id": "evt_3"})]

    done = cli("screen", stdin="\n".join(lines))

    assert done.code == 2
    assert "<stdin>:1:1: `mode`" in done.err
    assert "<stdin>:3:1: `" in done.err


def test_a_card_number_is_refused_and_not_repeated(cli, deployment: Path, make_event) -> None:
    number = "4242424242424242"
    done = cli("screen", stdin=json.dumps(make_event(extra={"note": number})))

    assert done.code == 2
    assert "card number" in done.err
    assert number not in done.err


@pytest.mark.parametrize("given", ["", "   \n\n", b"\xef\xbb\xbf"])
def test_empty_input_is_an_error(cli, deployment: Path, given: str | bytes) -> None:
    done = cli("screen", "--json", stdin=given)

    assert done.code == 2
    assert done.error["message"] == "the input is empty"


def test_input_that_is_not_utf8_is_located(cli, deployment: Path, make_event) -> None:
    good = json.dumps(make_event()).encode()

    done = cli("screen", "--json", stdin=good + b'\n{"id": "\xff"}\n')

    assert done.code == 2
    assert done.error == {
        "kind": "InputInvalid",
        "message": "the input is not UTF-8",
        "hint": "save it as UTF-8",
        "file": "<stdin>",
        "line": 2,
        "column": 9,
    }


@pytest.mark.parametrize("missing", ["nosuch.json", "policies"])
def test_a_file_that_cannot_be_read_is_named(cli, deployment: Path, missing: str) -> None:
    done = cli("screen", missing)

    assert done.code == 2
    assert done.err.startswith(f"error: {missing}:1:1: cannot be read: ")


def test_a_locked_store_is_an_error_and_not_an_outcome(cli, deployment: Path, make_event, monkeypatch) -> None:
    import sqlite3

    monkeypatch.setitem(Store.open.__func__.__kwdefaults__, "patience", timedelta(milliseconds=50))
    monkeypatch.setattr("paycordon.reload._AT_START", timedelta(milliseconds=200))
    assert cli("doctor").code == 0
    other = sqlite3.connect(deployment / "paycordon.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        done = cli("screen", "--json", stdin=json.dumps(make_event()))
        other.execute("ROLLBACK")
    finally:
        other.close()

    assert done.code == 2
    assert done.out == ""
    assert done.error["kind"] == "StoreUnavailable"
    assert recorded(deployment) == 0


def test_a_read_only_store_is_an_error_and_not_an_outcome(cli, deployment: Path, make_event, monkeypatch) -> None:
    monkeypatch.setattr("paycordon.reload._AT_START", timedelta(milliseconds=200))
    assert cli("doctor").code == 0
    with (deployment / "paycordon.db").open("r+b") as file:
        # A write version above 2 makes SQLite treat the file as read-only, for root as well.
        file.seek(18)
        file.write(b"\x03")

    done = cli("screen", stdin=json.dumps(make_event()))

    assert done.code == 2
    assert done.out == ""
    assert "readonly" in done.err
    doctor = cli("doctor", "--json")
    assert doctor.code == 1
    assert [each["part"] for each in doctor.json["found"] if each["health"] == "fail"] == ["store"]
    assert recorded(deployment, writable=False) == 0
