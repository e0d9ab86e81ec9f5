"""The rule trees of an explanation as one SVG: no script, nothing loaded, readable on light and dark.

Each box is a part of a rule with its answer as a word and a mark beside the colour; its title holds the whole text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from paycordon.policy.cel import Unclear
from paycordon.policy.explain.model import Explanation, RuleTrace
from paycordon.policy.explain.parts import Form
from paycordon.policy.explain.trace import Traced

_ROW, _INDENT, _MARGIN, _HEIGHT = 30, 28, 16, 24
_CHARACTER = 7.4
_LONGEST = 96
MOST_ROWS = 1_000
_LABELS = {Form.ALL: "all of", Form.ANY: "any of", Form.NOT: "not", Form.CHOICE: "if, then, else"}
_WORDS = {True: ("✓", "true"), False: ("✗", "false"), None: ("?", "no answer")}
_STYLE = """
svg { font: 12px ui-monospace, Menlo, Consolas, monospace; background: #ffffff; }
text { fill: #1f2328; } .title { font-weight: bold; font-size: 14px; } .value { fill: #59636e; }
rect { stroke-width: 1.5; fill: #f6f8fa; } .edge { stroke: #8c959f; fill: none; }
.true rect { stroke: #1a7f37; fill: #dafbe1; } .false rect { stroke: #59636e; }
.none rect { stroke: #9a6700; fill: #fff8c5; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6edf3; } .value { fill: #9198a1; } rect { fill: #161b22; }
  .edge { stroke: #656c76; } .true rect { stroke: #3fb950; fill: #12261e; } .false rect { stroke: #656c76; }
  .none rect { stroke: #d29922; fill: #272115; }
}
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A box: how deep, which row it hangs on, what it says."""

    depth: int
    parent: int | None
    label: str
    answer: bool | None
    title: str
    values: str = ""


def picture_of(explanation: Explanation) -> bytes:
    """Draw the rules that were considered, those that matched or have no answer first."""
    rows = _rows(explanation)
    cut = rows[:MOST_ROWS]
    width = max((_right(row) for row in cut), default=0) + _MARGIN
    top = _MARGIN + _ROW
    height = top + _ROW * (len(cut) + (len(rows) > MOST_ROWS)) + _MARGIN
    width = max(width, 480)
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width:.0f} {height}",
            "width": f"{width:.0f}",
            "height": str(height),
            "role": "img",
            "aria-labelledby": "title",
        },
    )
    event = explanation.event
    heading = f"{event.type} {event.id}: {explanation.outcome}"
    _text(SubElement(svg, "title", {"id": "title"}), f"Why {heading}")
    _text(SubElement(svg, "style"), _STYLE)
    _text(SubElement(svg, "text", {"x": str(_MARGIN), "y": str(_MARGIN + 14), "class": "title"}), heading)
    for index, row in enumerate(cut):
        _draw(svg, row, index, top)
    if len(rows) > MOST_ROWS:
        y = str(top + _ROW * len(cut) + 16)
        _text(SubElement(svg, "text", {"x": str(_MARGIN), "y": y}), f"and {len(rows) - MOST_ROWS} more")
    return bytes(ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True))


def _rows(explanation: Explanation) -> list[_Row]:
    rules = [rule for policy in explanation.policies for rule in policy.rules if not rule.skipped]
    rows: list[_Row] = []
    for rule in sorted(rules, key=lambda each: each.answer is False):  # stable: otherwise in the order of the files
        _add_rule(rows, rule)
    return rows


def _add_rule(rows: list[_Row], traced: RuleTrace) -> None:
    rule = traced.rule
    does = [str(rule.then)] if rule.then else []
    does += [f"{points:+d} {name}" for name, points in rule.adds.items()]
    label = f"{traced.name} → {', '.join(does)}" + ("" if traced.mode == "enforce" else f" ({traced.mode})")
    rows.append(_Row(0, None, label, _answer(traced.answer), f"{traced.name} at {traced.position}"))
    own = len(rows) - 1
    for key, each in traced.expressions.items():
        _add(rows, each, 1, own, f"{key}: ")


def _add(rows: list[_Row], traced: Traced, depth: int, parent: int, before: str = "") -> None:
    label = before + _LABELS.get(traced.form, traced.text)
    values = "; ".join(f"{each.text} = {each.words}" for each in traced.shown)
    rows.append(_Row(depth, parent, label, _answer(traced.answer), traced.text, values))
    own = len(rows) - 1
    for each in traced.inside:
        item = f"[{each.item}] " if traced.form is Form.LOOP and each.item else ""
        _add(rows, each, depth + 1, own, item)
    if traced.left_out:
        rows.append(_Row(depth + 1, own, f"and {traced.left_out} more", None, "items that were not looked at"))


def _answer(answer: bool | Unclear) -> bool | None:
    return answer if isinstance(answer, bool) else None


def _draw(svg: Element, row: _Row, index: int, top: int) -> None:
    x, y = _MARGIN + row.depth * _INDENT, top + index * _ROW
    mark, word = _WORDS[row.answer]
    if row.parent is not None:
        above = top + row.parent * _ROW + _HEIGHT
        middle = y + _HEIGHT // 2
        left = x - _INDENT // 2
        SubElement(svg, "path", {"class": "edge", "d": f"M{left} {above}V{middle}H{x}"})
    group = SubElement(svg, "g", {"class": word.split()[-1] if row.answer is not None else "none"})
    title = f"{row.title}: {word}" + (f"; {row.values}" if row.values else "")
    _text(SubElement(group, "title"), title)
    label = _cut(f"{mark} {row.label}")
    width = len(label) * _CHARACTER + 16
    box = {"x": str(x), "y": str(y), "width": f"{width:.0f}", "height": str(_HEIGHT), "rx": "4"}
    SubElement(group, "rect", box)
    _text(SubElement(group, "text", {"x": str(x + 8), "y": str(y + 16)}), label)
    if row.values:
        attributes = {"x": f"{x + width + 10:.0f}", "y": str(y + 16), "class": "value"}
        _text(SubElement(group, "text", attributes), _cut(row.values))


def _right(row: _Row) -> float:
    label = len(_cut(f"✓ {row.label}")) * _CHARACTER + 16
    values = len(_cut(row.values)) * _CHARACTER + 10 if row.values else 0
    return _MARGIN + row.depth * _INDENT + label + values


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _text(element: Element, text: str) -> None:
    """Set a text without the characters that XML does not allow."""
    element.text = "".join(_printable(text))


def _printable(text: str) -> Iterator[str]:
    return (c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
