"""From the text of an expression to its syntax tree; see `syntax`, which is what others use.

Kept apart because it loads `lark`, which only those commands should pay for that read expressions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedInput, UnexpectedToken, VisitError

from paycordon.policy.syntax import (
    Call,
    Comprehension,
    Const,
    Has,
    Ident,
    Kind,
    ListLiteral,
    MapLiteral,
    Node,
    Select,
    StructLiteral,
    SyntaxInvalid,
    path_of,
)

_MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "map": (2, 3), "filter": (2,)}


class _Tree:
    """What the parser calls for each rule of the grammar, with its parts."""

    def literal(self, parts: list[Token]) -> Node:
        (token,) = parts
        kind, value = _literal(token)
        return Const(_start(token), _end(token), kind, value)

    def ident(self, parts: list[Token]) -> Node:
        return Ident(_start(parts[0]), _end(parts[-1]), str(parts[-1]), len(parts) > 1)

    def bracketed(self, parts: list[Any]) -> Node:
        opening, node, closing = parts
        return replace(node, start=_start(opening), end=_end(closing))  # type: ignore[no-any-return]

    def conditional(self, parts: list[Node]) -> Node:
        return Call(parts[0].start, parts[-1].end, "_?_:_", None, tuple(parts))

    def any_of(self, parts: list[Node]) -> Node:
        return _balanced("_||_", parts)

    def all_of(self, parts: list[Node]) -> Node:
        return _balanced("_&&_", parts)

    def binary(self, parts: list[Any]) -> Node:
        left, operator, right = parts
        return Call(left.start, right.end, f"_{operator}_", None, (left, right))

    def prefixed(self, parts: list[Any]) -> Node:
        *operators, node = parts
        for operator in reversed(operators):
            node = _prefixed(operator, node)
        return node  # type: ignore[no-any-return]

    def select(self, parts: list[Any]) -> Node:
        operand, name = parts
        return Select(operand.start, _end(name), operand, name.strip("`"))

    def method(self, parts: list[Any]) -> Node:
        target, name, *rest = parts
        args = _args(rest)
        if len(args) in _MACROS.get(name, ()) and isinstance(args[0], Ident) and not args[0].rooted:
            return Comprehension(target.start, _end(rest[-1]), name.value, target, args[0].name, args[1:])
        return Call(target.start, _end(rest[-1]), name.value, target, args)

    def index(self, parts: list[Any]) -> Node:
        operand, index, closing = parts
        return Call(operand.start, _end(closing), "_[_]", None, (operand, index))

    def struct(self, parts: list[Any]) -> Node:
        path = path_of(parts[0])
        if path is None:
            raise SyntaxInvalid("does not follow the grammar here", parts[0].end)
        fields = parts[1] if len(parts) == 3 else ()
        return StructLiteral(parts[0].start, _end(parts[-1]), ".".join(path), fields)

    def function(self, parts: list[Any]) -> Node:
        start = _start(parts.pop(0)) if parts[0].type == "DOT" else _start(parts[0])
        name, *rest = parts
        args, closing = _args(rest), rest[-1]
        if name == "has" and len(args) == 1 and isinstance(args[0], Select):
            return Has(start, _end(closing), args[0].operand, args[0].field)
        return Call(start, _end(closing), name.value, None, args)

    def list_literal(self, parts: list[Any]) -> Node:
        return ListLiteral(_start(parts[0]), _end(parts[-1]), parts[1] if len(parts) == 3 else ())

    def map_literal(self, parts: list[Any]) -> Node:
        return MapLiteral(_start(parts[0]), _end(parts[-1]), parts[1] if len(parts) == 3 else ())

    def arguments(self, parts: list[Node]) -> tuple[Node, ...]:
        return tuple(parts)

    def entries(self, parts: list[Node]) -> tuple[tuple[Node, Node], ...]:
        return tuple(zip(parts[::2], parts[1::2], strict=True))

    def fields(self, parts: list[Any]) -> tuple[tuple[str, Node], ...]:
        return tuple((name.strip("`"), value) for name, value in zip(parts[::2], parts[1::2], strict=True))


def tree_of(source: str) -> Node:
    """Read an expression; see `paycordon.policy.syntax.parse`, which guards this."""
    try:
        return _parser().parse(source)  # type: ignore[return-value]  # the transformer makes nodes of trees
    except UnexpectedInput as unexpected:
        ended = isinstance(unexpected, UnexpectedToken) and unexpected.token.type == "$END"
        offset = len(source) if ended else unexpected.pos_in_stream or 0
        raise SyntaxInvalid("does not follow the grammar here", offset) from None
    except VisitError as failed:
        if isinstance(failed.orig_exc, SyntaxInvalid):
            raise failed.orig_exc from None
        raise


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("cel.lark").read_text(encoding="utf-8")
    # LALR uses no recursion of Python's, so the depth of a text costs memory only.
    return Lark(grammar, parser="lalr", transformer=_Tree(), maybe_placeholders=False)


def _start(token: Token) -> int:
    return token.start_pos or 0


def _end(token: Token) -> int:
    return token.end_pos or 0


def _args(rest: Sequence[Any]) -> tuple[Node, ...]:
    """The arguments of a call, of what stands between its brackets and the closing one."""
    return rest[0] if len(rest) == 2 else ()


def _balanced(operator: str, parts: Sequence[Node]) -> Node:
    """Join as CEL does, so that a long chain is a shallow tree."""
    if len(parts) == 1:
        return parts[0]
    middle = (len(parts) + 1) // 2
    left, right = _balanced(operator, parts[:middle]), _balanced(operator, parts[middle:])
    return Call(left.start, right.end, operator, None, (left, right))


def _prefixed(operator: Token, node: Node) -> Node:
    start = _start(operator)
    if operator == "-" and isinstance(node, Const) and node.kind in ("int", "double") and node.value is not None:
        return replace(node, start=start, value=-node.value)  # type: ignore[operator]
    return Call(start, node.end, f"{operator}_", None, (node,))


_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([abfnrtv\\?\"'`])|)"
)


def _literal(token: Token) -> tuple[Kind, Any]:
    text = str(token)
    if token.type in ("STRING", "RAW"):
        return _string(token)
    if token.type == "FLOAT":
        return "double", float(text)
    if token.type == "INTEGER":
        kind: Kind = "uint" if text[-1] in "uU" else "int"
        text = text.rstrip("uU")
        return kind, int(text[2:], 16) if text.startswith("0x") else int(text)
    if token.type == "NULL":
        return "null", None
    return "bool", token.type == "TRUE"


def _string(token: Token) -> tuple[Kind, str | bytes]:
    quote_at = min(at for at in (token.find('"'), token.find("'")) if at >= 0)
    prefix, body = token[:quote_at].lower(), token[quote_at:]
    width = 3 if body[:3] in ('"""', "'''") else 1
    text = body[width:-width]
    as_bytes = "b" in prefix
    if as_bytes:
        text = text.encode().decode("latin-1")  # one character a byte, so that an escape is one byte too
    if "r" not in prefix and "\\" in text:
        text = _ESCAPE.sub(lambda found: _unescaped(found, token), text)
    return ("bytes", text.encode("latin-1", "replace")) if as_bytes else ("string", text)


def _unescaped(found: re.Match[str], token: Token) -> str:
    of_text = found[2] or found[3]  # a code point, which bytes do not have
    code = found[1] or of_text
    if of_text and token[0] in "bB":
        pass
    elif code or found[4]:
        number = int(code, 16) if code else int(found[4], 8)
        if number < 0x110000 and not 0xD800 <= number < 0xE000:
            return chr(number)
    elif found[5]:
        return _SIMPLE.get(found[5], found[5])
    raise SyntaxInvalid("holds an escape sequence that does not exist", _start(token))
