"""The syntax tree: it reads what the engine reads, knows where everything stands, and skips no rule that matters."""

import string
from datetime import UTC, datetime

import pytest
from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from paycordon.decisions import Finding
from paycordon.events import Account, Event, Money, Payout
from paycordon.policy.schema import SCHEMA, bind, type_name
from paycordon.policy.syntax import (
    MAX_DEPTH,
    Call,
    Comprehension,
    Const,
    Has,
    Ident,
    ListLiteral,
    MapLiteral,
    Select,
    StructLiteral,
    SyntaxInvalid,
    codes_needed,
    conjuncts,
    disjuncts,
    line_column,
    parse,
    path_of,
    paths,
    text_of,
    walk,
)

VARIABLES = {"event": cel.Type(type_name(Event)), "findings": cel.Type.List(cel.Type(type_name(Finding)))}
ENGINE = cel.NewEnv(SCHEMA.pool, variables=VARIABLES)
EVENT = Event(
    id="evt_1",
    type="payout.requested",
    occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
    gateway="g",
    instance="i",
    account=Account(id="a"),
    payout=Payout(amount=Money(minor=1, currency="EUR")),
)

VALID = [
    'event.id == "a" && .event.id != r"\\d" + "x" || """a"b""" == \'\'\'c\'\'\'',
    "b'a' == b'\\xff\\101' && 0x1Fu == 31u && .5e+3 < 1e3 && 01 == 1",
    "[1, 2,] == [,] && {'a': 1,} == {} && paycordon.Money{minor: 1,}.minor == 1 && paycordon.Money{} == null",
    "event.`id`.size() == 1 && event . identifiers [0] . kind == 'x'",
    "findings.exists_one(f, true) && findings.map(f, true, f.code) == [] && findings.filter(f, has(f.code)) == []",
    "!!true && - -1 == 1 && --1 == 1 && -9223372036854775808 < 0 && 1 in [1] in [true]",
    "true // a comment || \n && (false ? true : 1 < 2 ? false : true)",
    "'\\'' == '\"' && \"\\a\\u00e9\\U0001F600\\x41\\?\\`\" == 'x'",
    "index_true || falsey == inner",
    " || ".join(["true"] * 500),
    "[" * 31 + "]" * 31 + " == []",
    "!" * 90 + "true",
]
INVALID = [
    "",
    "1 +",
    "(1",
    "a?.b",
    "'a\nb' == 'c'",
    "f(",
    "1.5u == 1.0",
    "a b",
    "Rb'a' == b'a'",
    "1}",
    "true\u00a0&& true",
]


@pytest.mark.parametrize("source", [source for source in VALID if "index_true" not in source])
def test_what_the_engine_reads_is_read(source):
    ENGINE.compile(source)
    assert text_of(parse(source), source) == source.split("//")[0].strip() or "//" in source


@pytest.mark.parametrize(
    "source", [*INVALID, r"'\400' == 'a'", r"'\ud800' == 'a'", r"b'\u00e9' == b'a'", r"'\8' == 'a'"]
)
def test_what_the_engine_refuses_to_read_is_refused(source):
    with pytest.raises(RuntimeError):
        ENGINE.compile(source)
    with pytest.raises(SyntaxInvalid):
        parse(source)


@pytest.mark.parametrize(
    ("source", "offset", "words"),
    [
        ("event.id ==\n  == 3", 14, "grammar"),
        ("event.id == ", 12, "grammar"),
        ("true && '\\400' == 'a'", 8, "escape"),
        ("(" * 10_000 + "1" + ")" * 10_000, 0, "characters"),
        ("(" * 40 + "1" + ")" * 40, 32, "brackets"),
        ("a." * 200 + "b", 0, "operations"),
        ("1 + " * 1_000 + "1", 0, "operations"),
        ("true ? true : " * 200 + "true", 1_386, "operations"),
        ("x" * 5_000, 0, "characters"),
    ],
)
def test_a_refusal_says_where_and_why(source, offset, words):
    with pytest.raises(SyntaxInvalid, match=words) as refused:
        parse(source)
    assert refused.value.offset == offset


def test_what_is_written_too_deep_is_refused_although_it_has_no_brackets():
    parse("!" * (MAX_DEPTH - 1) + "true")
    with pytest.raises(SyntaxInvalid):
        parse("!" * MAX_DEPTH + "true")


@pytest.mark.parametrize(
    ("source", "kind", "value"),
    [
        ("1", "int", 1),
        ("-1", "int", -1),
        ("0xffu", "uint", 255),
        ("1.0", "double", 1.0),
        ("-.5", "double", -0.5),
        ("true", "bool", True),
        ("null", "null", None),
        (r"'a\n\x41\101é'", "string", "a\nAAé"),
        (r"r'\n'", "string", "\\n"),
        (r"b'\xff\377é'", "bytes", b"\xff\xff" + "é".encode()),
        ("''", "string", ""),
        ('""""a" """', "string", '"a" '),
    ],
)
def test_literals_have_their_kind_and_value(source, kind, value):
    assert parse(source) == Const(0, 0, kind, value)
    if kind in ("string", "bytes"):
        assert ENGINE.compile(source).eval(ENGINE.Activation({})).plain_value() == value


def test_names_of_functions_are_those_of_the_languages_own_tree():
    source = "a && b || !c ? -d + e[f] : g in h && i.j(k) != l(m, n)"
    functions = [node.function for node in walk(parse(source)) if isinstance(node, Call)]
    assert functions == ["_?_:_", "_||_", "_&&_", "!_", "_+_", "-_", "_[_]", "_&&_", "_in_", "_!=_", "j", "l"]


def test_every_kind_of_node_is_built():
    e = Ident(0, 0, "e")
    f = Ident(0, 0, "f")
    assert parse("has(e.f)") == Has(0, 0, e, "f")
    assert parse("e.map(f, f, e)") == Comprehension(0, 0, "map", e, "f", (f, e))
    assert parse("e.exists(f, f)") == Comprehension(0, 0, "exists", e, "f", (f,))
    assert parse("e.all(f)") == Call(0, 0, "all", e, (f,))
    assert parse("e.all(.f, e)") == Call(0, 0, "all", e, (Ident(0, 0, "f", True), e))
    assert parse("[e, f]") == ListLiteral(0, 0, (e, f))
    assert parse("{e: f}") == MapLiteral(0, 0, ((e, f),))
    assert parse("e.f{f: e}") == StructLiteral(0, 0, "e.f", (("f", e),))
    assert parse("e.f") == Select(0, 0, e, "f")
    assert parse("a + b * c") == parse("a + (b * c)") != parse("(a + b) * c")


def test_positions_are_exact_and_lie_within_each_other():
    source = 'findings.exists(f, f.code == "é") &&\n  (event.payout.amount.minor > 2 || !has(event.merchant.id))'
    texts = [text_of(node, source) for node in walk(parse(source))]
    assert texts[:4] == [source, 'findings.exists(f, f.code == "é")', "findings", 'f.code == "é"']
    assert "(event.payout.amount.minor > 2 || !has(event.merchant.id))" in texts
    assert "has(event.merchant.id)" in texts
    assert line_column(source, source.index("!has")) == (2, 37)


NAMES = st.sampled_from(
    ["event", "findings", "f", "x", "event.payout.amount", "has(event.payout)", "'a'", "1", "-2", "[1]"]
)
SOURCES = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||", "==", "+", "in", "<", "*"]), inner).map(" ".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}).exists(f, {two[1]})"),
        st.tuples(inner, inner, inner).map(lambda three: "({} ? {} : {})".format(*three)),
        inner.map(lambda one: f"!({one})"),
        inner.map(lambda one: f"({one})[0].g({one})"),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(SOURCES)
def test_the_text_of_a_part_reads_as_that_part(source):
    try:
        tree = parse(source)
    except SyntaxInvalid:
        return
    for node in walk(tree):
        assert parse(text_of(node, source)) == node


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=string.printable + "é\u2028", max_size=40))
def test_any_text_is_read_or_refused_as_the_engine_does(source):
    try:
        parse(source)
        read = True
    except SyntaxInvalid:
        read = False
    try:
        ENGINE.compile(source)
        compiled = True
    except RuntimeError:
        compiled = False
    assert read or not compiled


def test_a_path_is_a_chain_of_names():
    assert path_of(parse("event.payout.amount")) == ("event", "payout", "amount")
    assert path_of(parse("event.identifiers[0].kind")) is None
    assert path_of(parse("f(x).y")) is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.payout.amount.minor > params.small.minor", {"event.payout.amount.minor", "params.small.minor"}),
        ("has(event.payout) && event.identifiers[0].kind == 'x'", {"event.payout", "event.identifiers"}),
        ("event.identifiers.exists(i, i.kind == event.gateway)", {"event.identifiers", "event.gateway"}),
        ("event.occurred_at.getHours(params.zone) > 2", {"event.occurred_at", "params.zone"}),
        ("findings.exists(event, event.code == .event.id)", {"findings", "event.id"}),
        ("{'a': event.id}['a'] == paycordon.Money{minor: aggregates.n}.currency", {"event.id", "aggregates.n"}),
        ("[1].map(x, x + 1) == [2]", set()),
    ],
)
def test_paths_are_the_longest_that_start_at_a_free_variable(source, expected):
    assert {".".join(path) for path in paths(parse(source))} == expected


def test_conjuncts_and_disjuncts_are_taken_apart_through_brackets():
    source = "a && (b && (c || d)) && e"
    assert [text_of(node, source) for node in conjuncts(parse(source))] == ["a", "b", "(c || d)", "e"]
    assert [text_of(node, source) for node in disjuncts(conjuncts(parse(source))[2])] == ["c", "d"]


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ('findings.exists(f, f.code == "x")', {"x"}),
        ('findings.exists(f, "x" == f.code && f.confidence > 0.5) && event.id == "a"', {"x"}),
        ('event.id == "a" && (true && findings.exists_one(g, g.evidence.n > 1 && g.code in ["x", "y"]))', {"x", "y"}),
        ('findings.exists(f, f.code == "x" || f.code == "y" && f.confidence > 0.5)', {"x", "y"}),
        ('findings.exists(f, f.code == "x") || findings.exists(f, f.code == "y")', {"x", "y"}),
        ('findings.exists(f, f.code in ["x", "y"]) && findings.exists(f, f.code == "z")', {"z"}),
        ("findings.exists(f, f.code in [])", set()),
        ('findings.exists(f, f.code == "x") || event.id == "a"', None),
        ('findings.exists(f, f.code == "x" || f.confidence > 0.5)', None),
        ('!findings.exists(f, f.code == "x")', None),
        ('findings.all(f, f.code == "x")', None),
        ('findings.exists(f, f.code != "x")', None),
        ("findings.exists(f, f.code == event.id)", None),
        ('findings.exists(f, f.code in ["x", event.id])', None),
        ('findings.exists(f, f.evidence.code == "x")', None),
        ('findings.exists(f, f.check == "x")', None),
        ('findings.filter(f, f.code == "x").exists(f, f.code == "y")', None),
        ('event.identifiers.exists(f, f.kind == "x")', None),
        ('event.id == "a" ? findings.exists(f, f.code == "x") : false', None),
        ("event.id == 'a'", None),
    ],
)
def test_the_codes_that_a_rule_needs(source, codes):
    assert codes_needed(parse(source)) == (None if codes is None else frozenset(codes))


FINDING = Finding(check="c", code="t.x", confidence=0.9, evidence={"n": 3, "text": "a", "code": "t.x"})
OF_ONE = st.sampled_from(
    [
        *(
            'f.code == "t.x"',
            '"t.y" == f.code',
            'f.code in ["t.x", "t.z"]',
            "f.code in []",
            'f.code != "t.x"',
            'f.check == "c"',
        ),
        *(
            "f.evidence.gone > 3",
            "f.evidence.n > 1",
            "f.evidence.n",
            "f.evidence.text",
            "f.confidence > 0.5",
            "1 / 0 > 2",
        ),
        *("[1, 2].exists(f, f == 1)", 'findings.exists(f, f.code == "t.y")', "event.payout.automatic", "true"),
    ]
)
OF_ALL = st.sampled_from(
    ["1 / 0 > 2", "event.payout.automatic", "event.dispute.amount.minor > 1", "true", "false", "event.id == 'evt_1'"]
)


def combined(atoms):
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda three: "({} {} {})".format(*three)),
            inner.map(lambda one: f"!({one})"),
            st.tuples(inner, inner, inner).map(lambda three: "({} ? {} : {})".format(*three)),
        ),
        max_leaves=5,
    )


LOOPS = st.tuples(st.sampled_from(["exists", "exists_one", "all"]), combined(OF_ONE)).map(
    lambda two: f"findings.{two[0]}(f, {two[1]})"
)
CODES = st.lists(st.sampled_from(["t.x", "t.y", "t.z", "t.other"]), max_size=3)


@settings(max_examples=500, deadline=None)
@given(combined(st.one_of(LOOPS, LOOPS, OF_ALL)), CODES)
def test_without_the_codes_it_needs_a_rule_is_exactly_false(source, codes):
    needed = codes_needed(parse(source))
    if needed is None or needed & set(codes):
        return
    try:
        expression = ENGINE.compile(source)
    except RuntimeError:  # such as `!f.evidence.n`, which the types refuse
        return
    found = [FINDING.model_copy(update={"code": code}) for code in codes]
    value = expression.eval(ENGINE.Activation(bind(EVENT, found)))
    assert value.type() == cel.Type.BOOL
    assert value.value() is False
