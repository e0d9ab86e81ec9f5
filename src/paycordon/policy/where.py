"""The readable form of a condition, `where:`: a mapping all of whose entries have to hold, turned into CEL.

| key | value |
|---|---|
| `finding` | a code, `{code: …, confidence: ">= 0.8"}`, or a list of these: any of them |
| `identifier` | a kind, or a list of kinds: the event carries one of them |
| `event.…`, `variables.…` | a value, a list of values (any of them), or a comparison |
| an amount, such as `event.payout.amount` | `">= 200 EUR"`, `">= params.small"`: only amounts in that currency match |
| `account_age`, `merchant_age` | `"< 14d"`: since it was created, at the time of the event |
| `aggregates.…` | a comparison with a number (`"> 5"`) or with a time span (`"< 2h"`) |

Comparisons are `>=`, `>`, `<=`, `<`, `==` and `!=` with a value or with `params.…`, and for texts also
`in lists.…`, `not in lists.…`, `in countries.EEA`. Texts have no order. A value that is missing does not match,
whatever it is compared with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from paycordon.documents import did_you_mean
from paycordon.events import Event, Money, minor_unit_exponent
from paycordon.policy.schema import SCHEMA, type_name

AGES = {"account_age": "event.account.created_at", "merchant_age": "event.merchant.created_at"}

_COMPARISON = re.compile(r"(>=|<=|==|!=|>|<|not in\b|in\b)\s*(.+)", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,12})?")
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_AMOUNT = re.compile(r"(-?\d{1,12}(?:\.\d{1,4})?) ([A-Z]{3})")
_PARAM = re.compile(r"params\.[a-z][a-z0-9_]*")
_SET = re.compile(r"(?:lists|countries)\.[A-Za-z][A-Za-z0-9_]*")
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SCALARS = {
    "google.protobuf.StringValue": "text",
    "google.protobuf.BoolValue": "truth",
    "google.protobuf.Int64Value": "number",
    "google.protobuf.DoubleValue": "number",
    type_name(Money): "amount",
}


class WhereInvalid(ValueError):
    """An entry of a `where` cannot be read; `key` says which."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(f"`{key}`: {message}")


def compile_where(where: Mapping[str, Any]) -> str:
    """Return the CEL that a `where` stands for; it still has to be checked against the policy's names.

    Raises:
        WhereInvalid: an entry is unknown or cannot be read.
    """
    return " && ".join(clauses(where).values())


def clauses(where: Mapping[str, Any]) -> dict[str, str]:
    """The CEL of each entry, by its key, in order; otherwise as `compile_where`."""
    return {key: f"({_clause(key, value)})" for key, value in where.items()}


def key_at(where: Mapping[str, Any], offset: int) -> str:
    """Return the key of the entry that a place in the CEL of `compile_where` comes from."""
    key, end = "", 0
    for key, source in clauses(where).items():  # noqa: B007  # the last one, for an offset beyond all of them
        end += len(source)
        if offset < end:
            break
        end += len(" && ")
    return key


def _clause(key: str, value: Any) -> str:
    if key == "finding":
        return _any_of(key, value, _finding)
    if key == "identifier":
        return _any_of(key, value, lambda key, kind: f"event.identifiers.exists(i, i.kind == {_text(key, kind)})")
    if key in AGES:
        return f"has({AGES[key]}) && {_any_of(key, value, _age)}"
    root = key.split(".", 1)[0]
    if root == "event" and "." in key:
        return _of_event(key, value)
    if root == "aggregates" and _NAME.fullmatch(key) and key.count(".") == 1:
        return f"has({key}) && {_any_of(key, value, _measure)}"
    if root == "variables" and _NAME.fullmatch(key) and key.count(".") == 1:
        return _any_of(key, value, _plain)
    known = ("finding", "identifier", *AGES, "event.…", "aggregates.…", "variables.…")
    raise WhereInvalid(key, did_you_mean(key, known[:4]) or f"is unknown; there are {', '.join(known)}")


def _any_of(key: str, value: Any, clause: Callable[[str, Any], str]) -> str:
    """One clause, or for a list any of several."""
    if not isinstance(value, list):
        return clause(key, value)
    if not value:
        raise WhereInvalid(key, "the list is empty, so nothing could match")
    return f"({' || '.join(clause(key, each) for each in value)})"


def _finding(key: str, value: Any) -> str:
    wanted = {"code": value} if isinstance(value, str) else value
    if not isinstance(wanted, dict) or "code" not in wanted or set(wanted) - {"code", "confidence"}:
        raise WhereInvalid(key, 'is a code or `{code: …, confidence: ">= 0.8"}`')
    source = f"f.code == {_text(key, wanted['code'])}"
    if "confidence" in wanted:
        operator, operand = _comparison(key, wanted["confidence"])
        number = _number(key, operand)
        source += f" && f.confidence {operator} {number if '.' in number else f'{number}.0'}"  # never int with double
    return f"findings.exists(f, {source})"


def _age(key: str, value: Any) -> str:
    operator, operand = _comparison(key, value)
    source = operand if _PARAM.fullmatch(operand) else _span(key, operand)
    return f"event.occurred_at - {AGES[key]} {operator} {source}"


def _of_event(key: str, value: Any) -> str:
    kind = _kind_of_field(key)
    clause = {"text": _of_text, "truth": _of_truth, "number": _measure, "amount": _of_amount}[kind]
    return f"has({key}) && {_any_of(key, value, clause)}"


def _kind_of_field(key: str) -> str:
    type_ = type_name(Event)
    kind: str | None = None
    for name in key.split(".")[1:]:
        known = SCHEMA.fields(type_)
        if name not in known:
            hint = did_you_mean(name, known)
            raise WhereInvalid(key, f"there is no such field{f'; {hint}' if hint else ''}")
        type_, repeated = SCHEMA.type_of(type_, name)
        kind = None if repeated else _SCALARS.get(type_)
    if kind is None:
        raise WhereInvalid(key, "is no text, number, truth value or amount; write the condition in `when`")
    return kind


def _of_text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise WhereInvalid(key, f"is compared with texts, not with `{value}`; quote it")
    found = _COMPARISON.fullmatch(value)
    if found is None or found[1] not in ("==", "!=", "in", "not in"):
        return f"{key} == {_text(key, value)}"
    operator, operand = found[1], found[2]
    if operator in ("in", "not in"):
        if not _SET.fullmatch(operand):
            raise WhereInvalid(key, "`in` looks up in `lists.…` or `countries.…`; write other values as a list")
        return f"{'!' if operator == 'not in' else ''}listed({key}, {operand})"
    return f"{key} {operator} {operand if _PARAM.fullmatch(operand) else _text(key, operand)}"


def _of_truth(key: str, value: Any) -> str:
    if not isinstance(value, bool):
        raise WhereInvalid(key, "is compared with true or false")
    return f"{key} == {json.dumps(value)}"


def _of_amount(key: str, value: Any) -> str:
    operator, operand = _comparison(key, value)
    if _PARAM.fullmatch(operand):
        return f"{key}.currency == {operand}.currency && {key}.minor {operator} {operand}.minor"
    found = _AMOUNT.fullmatch(operand)
    if not found:
        raise WhereInvalid(key, 'is compared with an amount, such as `">= 200 EUR"`')
    minor = Decimal(found[1]).scaleb(minor_unit_exponent(found[2]))
    if minor != int(minor):
        raise WhereInvalid(key, f"`{operand}` has more decimals than {found[2]} has")
    return f'{key}.currency == "{found[2]}" && {key}.minor {operator} {int(minor)}'


def _measure(key: str, value: Any) -> str:
    """A comparison with a number or a time span; a bare number has to be equal."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{key} == {_number(key, str(value))}"
    operator, operand = _comparison(key, value)
    if _PARAM.fullmatch(operand):
        return f"{key} {operator} {operand}"
    return f"{key} {operator} {_span(key, operand) if _SPAN.fullmatch(operand) else _number(key, operand)}"


def _plain(key: str, value: Any) -> str:
    """A named variable, whose type only the expression language knows."""
    if isinstance(value, bool):
        return _of_truth(key, value)
    if isinstance(value, str) and not re.match(r"[<>]", value):
        return _of_text(key, value)
    return _measure(key, value)


def _comparison(key: str, value: Any) -> tuple[str, str]:
    found = _COMPARISON.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found[1] in ("in", "not in"):
        raise WhereInvalid(key, 'needs a comparison as text, such as `">= 5"`')
    return found[1], found[2].strip()


def _number(key: str, text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise WhereInvalid(key, f"`{text}` is no number")
    return text if "." in text else str(int(text))


def _span(key: str, text: str) -> str:
    found = _SPAN.fullmatch(text)
    if not found:
        raise WhereInvalid(key, f"`{text}` is no time span; write it as `12h` or `14d`")
    return f'duration("{int(found[1]) * _SECONDS[found[2]]}s")'


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise WhereInvalid(key, "needs a text")
    return json.dumps(value, ensure_ascii=False)
