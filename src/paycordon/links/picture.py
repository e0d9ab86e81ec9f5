"""A network of merchants as one SVG: no script, nothing loaded, readable on light and dark.

Merchants and the identifiers they were seen with stand in turns, column by column, as many hops from the left as they
are away. A shortest way to the nearest merchant that is held or blocked is drawn thick. Identifiers are shown by kind
and the beginning of their digest: nothing here tells what they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from paycordon.decisions import Outcome
from paycordon.links.model import Member, Network, Tie

MOST_ROWS = 60
_ROW, _HEIGHT, _MARGIN, _TOP = 50, 36, 20, 96
_WIDTH, _GAP = 190, 70
_CHARACTER = 7.3
_LONGEST = int((_WIDTH - 16) / _CHARACTER)
_WORDS = {Outcome.ALLOW: "", Outcome.REVIEW: "reviewed", Outcome.HOLD: "held", Outcome.BLOCK: "blocked"}
_STYLE = """
svg { font: 12px ui-monospace, Menlo, Consolas, monospace; background: #ffffff; }
text { fill: #1f2328; } .title { font-weight: bold; font-size: 14px; } .note { fill: #59636e; font-size: 11px; }
rect { stroke: #59636e; stroke-width: 1.5; fill: #f6f8fa; } .digest rect { stroke-dasharray: 4 3; fill: #ffffff; }
.start rect { stroke: #0969da; stroke-width: 3; fill: #ddf4ff; }
.hold rect { stroke: #9a6700; fill: #fff8c5; } .block rect { stroke: #cf222e; stroke-width: 2.5; fill: #ffebe9; }
.tie { stroke: #8c959f; stroke-width: 1; fill: none; } .way { stroke: #cf222e; stroke-width: 3; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6edf3; } .note { fill: #9198a1; } rect { fill: #161b22; }
  .digest rect { fill: #0d1117; } .start rect { stroke: #4493f8; fill: #121d2f; }
  .hold rect { stroke: #d29922; fill: #272115; } .block rect { stroke: #f85149; fill: #25171c; }
  .tie { stroke: #656c76; } .way { stroke: #f85149; }
}
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """A merchant or an identifier: its column, what it says, what it says on a second line, its CSS class."""

    column: int
    label: str
    note: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class _Place:
    x: float
    y: float


def picture_of(network: Network) -> bytes:
    """Draw a network; where it is larger than a picture can show, what is nearest and on the way is drawn."""
    boxes = _boxes(network)
    way = _way(network)
    ties = [tie for tie in network.ties if tie.merchant in boxes and tie.digest in boxes]
    places, left_out = _placed(boxes, ties, way)
    columns = max(box.column for box in boxes.values()) + 1
    rows = max((place.y for place in places.values()), default=_TOP) + _HEIGHT
    width = max(2 * _MARGIN + columns * _WIDTH + (columns - 1) * _GAP, 620)
    svg = _canvas(network, width, rows + _MARGIN + 24)
    for tie in sorted(ties, key=lambda each: (each.merchant, each.digest) in way):
        if tie.merchant in places and tie.digest in places:
            _draw_tie(svg, tie, places, marked=(tie.merchant, tie.digest) in way)
    for name, place in places.items():
        _draw_box(svg, boxes[name], place)
    for column, count in left_out.items():
        x, y = _MARGIN + column * (_WIDTH + _GAP), rows + 18
        _text(SubElement(svg, "text", {"x": str(x), "y": f"{y:.0f}", "class": "note"}), f"and {count} more")
    return bytes(ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True))


def shortened(digest: str) -> str:
    """The beginning of a digest, without the id of its key: enough to tell one from another on one picture."""
    return digest.rpartition(":")[2][:10]


def _boxes(network: Network) -> dict[str, _Box]:
    """Everything to draw, by merchant or digest; an identifier stands between the merchants nearest to it."""
    hops = {member.merchant: member.hops for member in network.members}
    boxes = {member.merchant: _merchant(member) for member in network.members}
    groups: dict[str, list[Tie]] = defaultdict(list)
    for tie in network.ties:
        groups[tie.digest].append(tie)
    for digest, ties in groups.items():
        column = 2 * min(hops[tie.merchant] for tie in ties) + 1
        first, last = min(tie.first_seen for tie in ties), max(tie.last_seen for tie in ties)
        note = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
        title = f"{ties[0].kind} {shortened(digest)}: {len(ties)} merchants"
        boxes[digest] = _Box(column, f"{ties[0].kind} {shortened(digest)}", note, "digest", title)
    return boxes


def _merchant(member: Member) -> _Box:
    hops = "1 hop" if member.hops == 1 else f"{member.hops} hops"
    word = _WORDS[member.standing]
    note = ", ".join(part for part in (word, hops if member.hops else "looked at") if part)
    kind = member.standing.value if member.standing.stops else "start" if member.hops == 0 else "merchant"
    return _Box(2 * member.hops, member.merchant, note, kind, f"{member.merchant}: {note}")


def _way(network: Network) -> set[tuple[str, str]]:
    target = network.nearest(Outcome.BLOCK) or network.nearest(Outcome.HOLD)
    steps = network.way(target.merchant) if target else ()
    return {(merchant, step.digest) for step in steps for merchant in (step.merchant, step.to)}


def _placed(
    boxes: Mapping[str, _Box], ties: Sequence[Tie], way: set[tuple[str, str]]
) -> tuple[dict[str, _Place], dict[int, int]]:
    """Give each box a place, near what it is tied to on its left; and say how many have none, by column."""
    on_way = {name for pair in way for name in pair}
    tied: dict[str, list[str]] = defaultdict(list)
    for tie in ties:
        tied[tie.merchant].append(tie.digest)
        tied[tie.digest].append(tie.merchant)
    columns: dict[int, list[str]] = defaultdict(list)
    for name, box in boxes.items():
        columns[box.column].append(name)
    places: dict[str, _Place] = {}
    left_out: dict[int, int] = {}
    for column, names in sorted(columns.items()):
        middle = {name: _middle([places[each].y for each in tied[name] if each in places]) for name in names}
        first = sorted(names, key=lambda name: (name not in on_way, boxes[name].kind not in ("block", "hold")))
        shown = sorted(first[:MOST_ROWS], key=lambda name: (name not in on_way, middle[name], name))
        if len(names) > MOST_ROWS:
            left_out[column] = len(names) - MOST_ROWS
        for row, name in enumerate(shown):
            places[name] = _Place(_MARGIN + column * (_WIDTH + _GAP), _TOP + row * _ROW)
    return places, left_out


def _middle(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("inf")


def _canvas(network: Network, width: float, height: float) -> Element:
    size = {"viewBox": f"0 0 {width:.0f} {height:.0f}", "width": f"{width:.0f}", "height": f"{height:.0f}"}
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "role": "img", "aria-labelledby": "title"})
    lines = [f"Merchants linked to {network.merchant}", *summary(network)]
    _text(SubElement(svg, "title", {"id": "title"}), ". ".join(lines))
    _text(SubElement(svg, "style"), _STYLE)
    for row, line in enumerate(lines):
        place = {"x": str(_MARGIN), "y": str(_MARGIN + 14 + 20 * row), "class": "note" if row else "title"}
        _text(SubElement(svg, "text", place), line)
    return svg


def summary(network: Network) -> list[str]:
    """What was found, in two sentences."""
    others = len(network.members) - 1
    if not others:
        found = "no other merchant was seen with any of its identifiers"
    else:
        hops = network.members[-1].hops
        found = f"{others} other {plural('merchant', others)} within {hops} {plural('hop', hops)}"
    if network.hubs:
        found += f"; {len(network.hubs)} {plural('identifier', len(network.hubs))} left out that too many share"
    if network.cut:
        found += "; there is more than was looked at"
    near = network.nearest(Outcome.BLOCK) or network.nearest(Outcome.HOLD)
    if near is None:
        return [found, "none of them is held or blocked" if others else ""]
    return [found, f"nearest {_WORDS[near.standing]}: {near.merchant}, {near.hops} {plural('hop', near.hops)} away"]


def plural(word: str, count: int) -> str:
    """The word for so many of it."""
    return word if count == 1 else f"{word}s"


def _draw_tie(svg: Element, tie: Tie, places: Mapping[str, _Place], *, marked: bool) -> None:
    one, other = sorted((places[tie.merchant], places[tie.digest]), key=lambda place: place.x)
    start, end = one.x + _WIDTH, other.x
    y, to, bend = one.y + _HEIGHT / 2, other.y + _HEIGHT / 2, _GAP / 2
    curve = f"M{start:.0f} {y:.0f}C{start + bend:.0f} {y:.0f} {end - bend:.0f} {to:.0f} {end:.0f} {to:.0f}"
    path = SubElement(svg, "path", {"class": "tie way" if marked else "tie", "d": curve})
    seen = f"seen from {tie.first_seen:%Y-%m-%d %H:%M} to {tie.last_seen:%Y-%m-%d %H:%M} UTC"
    _text(SubElement(path, "title"), f"{tie.merchant}, {tie.kind} {shortened(tie.digest)}: {seen}")


def _draw_box(svg: Element, box: _Box, place: _Place) -> None:
    group = SubElement(svg, "g", {"class": box.kind})
    _text(SubElement(group, "title"), box.title)
    corner = {"x": f"{place.x:.0f}", "y": f"{place.y:.0f}", "width": str(_WIDTH), "height": str(_HEIGHT), "rx": "5"}
    SubElement(group, "rect", corner)
    x = f"{place.x + 8:.0f}"
    _text(SubElement(group, "text", {"x": x, "y": f"{place.y + 15:.0f}"}), _cut(box.label))
    _text(SubElement(group, "text", {"x": x, "y": f"{place.y + 29:.0f}", "class": "note"}), box.note)


def _cut(text: str) -> str:
    """Shorten in the middle: ids differ at their ends, and begin alike."""
    if len(text) <= _LONGEST:
        return text
    head = _LONGEST // 2
    return f"{text[:head]}…{text[head + 1 - _LONGEST :]}"


def _text(element: Element, text: str) -> None:
    """Set a text without the characters that XML does not allow."""
    element.text = "".join(_printable(text))


def _printable(text: str) -> Iterator[str]:
    return (c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
