from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from paycordon.decisions import Outcome
from paycordon.links import Hub, Member, Network, Tie
from paycordon.links.picture import MOST_ROWS, picture_of

AT = datetime(2026, 1, 2, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def network(others: int = 2, name: str = "m_{}") -> Network:
    members = [Member("m_0", 0, Outcome.ALLOW)]
    members += [
        Member(name.format(n), 1, Outcome.BLOCK if n == others else Outcome.ALLOW) for n in range(1, others + 1)
    ]
    ties, reached = [], {}
    for n, each in enumerate(members[1:]):
        digest = f"k1:{n:064x}"
        ties += [Tie("m_0", "iban", digest, AT, AT), Tie(each.merchant, "iban", digest, AT, AT)]
        reached[each.merchant] = ("m_0", digest)
    return Network("m_0", tuple(members), tuple(ties), reached, (Hub("email", "k1:ff", "too many"),), cut=False)


def texts(svg: bytes) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_way_to_the_nearest_blocked_is_marked_and_digests_are_short() -> None:
    svg = picture_of(network())
    root = ElementTree.fromstring(svg)
    marked = [each for each in root.iter(f"{SVG}path") if "way" in (each.get("class") or "")]
    assert len(marked) == 2
    assert "nearest blocked: m_2, 1 hop away" in texts(svg)
    assert "blocked, 1 hop" in texts(svg)
    assert "0" * 11 not in svg.decode(), "the beginning of a digest is enough"
    assert any("1 identifier left out" in line for line in texts(svg))


def test_what_is_too_many_is_counted_and_the_way_stays() -> None:
    svg = picture_of(network(500))
    assert texts(svg).count(f"and {500 - MOST_ROWS} more") == 2
    assert "m_500" in texts(svg)


def test_long_names_can_be_told_apart() -> None:
    labels = {line for line in texts(picture_of(network(9, "stripe_main/acct_1AbCdEfGhIjKl{}"))) if "…" in line}
    assert len(labels) == 9
    assert all(len(label) <= 24 for label in labels)


def test_a_merchant_alone_and_hostile_names() -> None:
    alone = picture_of(Network("m_0", (Member("m_0", 0, Outcome.ALLOW),), ()))
    assert "no other merchant was seen with any of its identifiers" in texts(alone)
    hostile = picture_of(network(2, "</text><script>alert(1)</script>\x00{}" + "x" * 300))
    assert ElementTree.fromstring(hostile).find(f".//{SVG}script") is None
    assert all(len(line) < 500 for line in texts(hostile))
