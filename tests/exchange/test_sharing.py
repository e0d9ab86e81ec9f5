"""Nothing leaves that a mark or a licence forbids, whatever the order in which things change."""

from __future__ import annotations

import itertools
import os
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paycordon.coalition.indicators import Indicator, Tlp
from paycordon.errors import Conflict
from paycordon.exchange.contract import (
    Audience,
    Contribution,
    ContributionKind,
    Outgoing,
    Receipt,
    RecipientSettings,
)
from paycordon.exchange.drafts import DraftItem
from paycordon.exchange.sharing import Said, Standing, lasting, refusals, stricter
from paycordon.feeds.items import Item
from paycordon.review.contributing import Drafted, Statement
from paycordon.store import indicators
from paycordon.store.indicators import Correction
from paycordon.testing import NOON

from .conftest import Keeper, Office

HISTORIES = int(os.environ.get("PAYCORDON_SHARING", "12"))
# The table of FIRST's TLP 2.0, written down here once more: what the code says is compared with it.
ALLOWED = {
    ("clear", "clients"), ("clear", "community"), ("clear", "public"), ("green", "clients"), ("green", "community"),
    ("amber", "clients"),
}  # fmt: skip
MARKS = st.sampled_from([*Tlp, "purple"])
LICENCES = st.sampled_from(["", "CC-BY-4.0", "coalition-1"])


def recipient(audience: Audience, licences: tuple[str, ...], source: str | None = None) -> RecipientSettings:
    return RecipientSettings(format="keeper", audience=audience, licences=licences, source=source)


@settings(max_examples=150, deadline=None)
@given(
    mark=MARKS,
    licence=LICENCES,
    reshare=st.booleans(),
    source=st.sampled_from(["IWF", "NGO"]),
    status=st.sampled_from(["allegation", "refuted"]),
    audience=st.sampled_from(Audience),
    kept=st.sets(st.sampled_from(["CC-BY-4.0", "coalition-1"])),
    wanted=st.sampled_from(Tlp),
)
def test_others_knowledge_leaves_exactly_as_they_allow(
    mark: str, licence: str, reshare: bool, source: str, status: str, audience: Audience, kept: set[str], wanted: Tlp
) -> None:
    indicator = Indicator("email", "k1:1", source, "case-7", 90, status, tlp=mark, licence=licence, reshare=reshare)
    item = DraftItem(kind="email", value="a@shop.example").relayed(indicator, wanted, "item 1")
    content = Contribution(kind=ContributionKind.RELAY, items=(item,), origin=source)
    found = refusals(content, [Standing(relayed=indicator)], recipient(audience, tuple(kept), "NGO"), Said(), NOON)

    goes = (mark, audience.value) in ALLOWED and (item.tlp.value, audience.value) in ALLOWED
    may = goes and reshare and licence in kept and source != "NGO" and status != "refuted"
    assert (found == []) == may, found
    assert (item.licence, item.reshare) == (licence, reshare)


@given(one=MARKS, other=MARKS)
def test_the_stricter_mark_lets_nothing_through_that_either_does_not(one: str, other: str) -> None:
    for audience in Audience:
        both = (one, audience.value) in ALLOWED and (other, audience.value) in ALLOWED
        assert ((stricter(one, other).value, audience.value) in ALLOWED) <= both


def test_what_is_changed_on_the_way_is_refused() -> None:
    indicator = Indicator(
        *("email", "k1:1", "IWF", "case-7", 60, "allegation"),
        tlp="green", licence="CC-BY-4.0", reshare=True, valid_until=NOON + timedelta(days=9),
    )  # fmt: skip
    item = DraftItem(kind="email", value="a@shop.example").relayed(indicator, None, "item 1")
    to = recipient(Audience.COMMUNITY, ("CC-BY-4.0",))

    def found(origin: str = "IWF", **otherwise: Any) -> list[str]:
        changed = item.model_copy(update=otherwise)
        content = Contribution(kind=ContributionKind.RELAY, items=(changed,), origin=origin)
        return refusals(content, [Standing(relayed=indicator)], to, Said(), NOON)

    assert found() == []
    assert "the name of its source must go along" in found(origin="")[0]
    assert "licence must go along" in found(licence="public domain")[0]
    assert "less strict" in found(tlp=Tlp.CLEAR)[0]
    assert "surer" in found(confidence=61)[0]
    assert "surer" in found(valid_until=None)[0]
    nobody = refusals(Contribution(kind=ContributionKind.SIGHTING), [], to, Said(), NOON)
    assert nobody == ["there is nothing to tell: `items` is empty"]


def test_nothing_lasts_longer_than_it_may() -> None:
    until = NOON + timedelta(days=3)
    items = tuple(Item(kind="email", value="a@b.example", reference="r", valid_until=each) for each in (None, NOON))
    content = Contribution(kind=ContributionKind.SIGHTING, items=items)
    assert [item.valid_until for item in lasting(content, until).items] == [until, NOON]
    assert lasting(content, None) is content


class Watching(Keeper):
    """Looks, whenever something leaves, whether it may."""

    format: ClassVar[str] = "watching"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.now: Any = None
        self.left = 0

    def send(self, message: Outgoing) -> Receipt:
        content = message.content
        assert content is not None
        for item in content.items:
            assert (item.tlp.value, self.settings.audience.value) in ALLOWED
            if content.kind is ContributionKind.RELAY:
                said = self.now()
                assert said is not None, "its source had taken it back"
                assert (said.tlp, self.settings.audience.value) in ALLOWED
                assert said.reshare
                assert said.licence == item.licence
                assert said.licence in self.settings.licences
                assert content.origin == said.source != self.settings.source
        self.left += 1
        return super().send(message)


_numbers = itertools.count()
STEPS = st.one_of(
    st.tuples(st.just("said"), MARKS, LICENCES, st.booleans()),
    st.tuples(st.just("withdrawn")),
    st.tuples(st.just("configured"), st.sampled_from(Audience), st.sets(LICENCES.filter(bool))),
    st.tuples(st.just("relay"), st.sampled_from([None, *Tlp])),
    st.tuples(st.just("own"), st.sampled_from(Tlp), st.booleans()),
    st.tuples(st.just("agree")),
    st.tuples(st.just("work")),
)
LIKELY = (
    ("said", "green", "CC-BY-4.0", True), ("configured", Audience.COMMUNITY, {"CC-BY-4.0"}), ("relay", None),
    ("own", Tlp.GREEN, True), ("agree",), ("agree",), ("work",),
)  # fmt: skip


@settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(cut=st.integers(0, len(LIKELY)), between=st.lists(STEPS, max_size=6))
def test_nothing_leaves_that_may_not_whatever_the_order_of_changes(
    small_office: Office, cut: int, between: list[Any]
) -> None:
    """A history that would let things leave, with others' changes anywhere in between."""
    office, number = small_office, next(_numbers)
    history = History(office, f"m_{number}", f"owner{number}@shop.example")
    for step in (*LIKELY[:cut], *between, *LIKELY[cut:]):
        getattr(history, step[0])(*step[1:])
    if not between:
        assert history.watching.left == 2


class History:
    """One merchant, one address, one source, one recipient; and what happens to them."""

    def __init__(self, office: Office, merchant: str, mail: str) -> None:
        self.office, self.merchant, self.mail = office, merchant, mail
        office.payout(merchant=merchant, mail=mail)
        self.digest = ""
        self.drafts: list[Drafted] = []
        self.configured(Audience.PUBLIC, set())

    def said(self, mark: str, licence: str, reshare: bool) -> None:
        said = {"tlp": mark, "licence": licence, "reshare": reshare}
        self.digest = self.office.known(self.mail, reference=self.merchant, **said).digest

    def withdrawn(self) -> None:
        if self._now() is not None:
            with self.office.store.write() as connection:
                why = Correction("IWF", "wrong")
                indicators.withdraw(connection, self.digest, "IWF", self.merchant, self.office.clock(), correction=why)

    def configured(self, audience: Audience, licences: set[str]) -> None:
        left = self.watching.left if hasattr(self, "watching") else 0
        found = self.office.listen(Watching, audience=audience, licences=sorted(licences))
        assert isinstance(found, Watching)
        self.watching = found
        found.now, found.left = self._now, left

    def relay(self, tlp: Tlp | None) -> None:
        item = {"kind": "email", "value": self.mail, "reference": self.merchant}
        self._draft(kind="relay", merchant=None, reason=None, origin="IWF", items=[item], tlp=tlp)

    def own(self, tlp: Tlp, independent: bool) -> None:
        stated = Statement(independent="our own review") if independent else Statement()
        self._draft(stated, merchant=self.merchant, items=[{"kind": "email", "value": self.mail}], tlp=tlp)

    def agree(self) -> None:
        if self.drafts:
            made = self.drafts.pop(0)
            with _refusable():
                self.office.agree(made.proposal.id)

    def work(self) -> None:
        self.office.work()

    def _draft(self, stated: Statement | None = None, **said: Any) -> None:
        with _refusable():
            self.drafts.append(self.office.draft(stated, **said))

    def _now(self) -> Indicator | None:
        with self.office.store.read() as connection:
            return indicators.counting(connection, self.digest, "IWF", self.merchant)


def _refusable() -> Any:
    import contextlib

    return contextlib.suppress(Conflict)


def test_an_unknown_audience_is_refused() -> None:
    with pytest.raises(ValueError, match="audience"):
        RecipientSettings.model_validate({"format": "keeper", "audience": "friends"})
