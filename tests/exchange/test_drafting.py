"""What may be told at all: what rests on nothing, was told already or is others' word is refused as a draft."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from paycordon.coalition.indicators import Indicator
from paycordon.errors import Conflict, NotFound, PaycordonError
from paycordon.events import Identifier
from paycordon.exchange.sharing import Exchange
from paycordon.people import Forbidden, Person, Role
from paycordon.record.verify import verify
from paycordon.review import contributing
from paycordon.review.contributing import Statement
from paycordon.store import indicators, messages
from paycordon.store.contributed import State
from paycordon.store.indicators import Correction
from paycordon.store.messages import MessageState

from .conftest import MAIL, SHAREABLE, Office, everything_stored, relay


def test_what_nobody_may_or_what_is_wrong_is_refused_as_a_draft(small_office: Office) -> None:
    office = small_office
    with pytest.raises(NotFound, match="no event of merchant `m_1`"):
        office.draft()
    office.payout(minor=100)
    with pytest.raises(Conflict, match="a termination rests on a block in force"):
        office.draft()
    with pytest.raises(Conflict, match="a sighting rests on a hold in force or an open case"):
        office.draft(kind="sighting")
    office.payout()
    with pytest.raises(Conflict, match="TLP:AMBER\\+STRICT does not go to `community`"):
        office.draft(tlp=None)
    party = {"legal_name": "Synthetic Shop Ltd"}
    with pytest.raises(Conflict, match="the party: TLP:AMBER\\+STRICT does not go"):
        office.draft(tlp=None, items=[], party=party)
    with pytest.raises(PaycordonError, match="a termination needs a `reason`"):
        office.draft(reason=None)
    with pytest.raises(PaycordonError, match="`match:06` is reserved"):
        office.draft(reason="match:06")
    with pytest.raises(NotFound, match="there is no recipient `nobody`; configured: `coalition`"):
        office.draft(recipient="nobody")
    unseen = [{"kind": "email", "value": "other@shop.example"}]
    with pytest.raises(Conflict, match="item 1 \\(`email`\\): it was never seen with this merchant"):
        office.draft(items=unseen)
    with pytest.raises(Conflict, match="mailbox provider"):
        office.draft(Statement(unseen="it is his"), items=[{"kind": "domain", "value": "gmail.com"}])
    assert office.draft(Statement(unseen="on the contract"), items=unseen).seen == [("email", False)]
    for said in (
        {"items": [{"kind": "handle", "value": "4111 1111 1111 1111"}]},
        {"party": {"legal_name": "Shop 4111111111111111"}},
        {"items": [{"kind": "email", "value": MAIL, "category": "paid with 4111-1111-1111-1111"}]},
    ):
        with pytest.raises(PaycordonError, match="card number") as card:
            office.draft(kind="sighting", **said)
        assert "4111" not in str(card.value)
    viewer = office.wish(Person("vera", frozenset({Role.VIEWER})))
    with pytest.raises(Forbidden), office.store.write() as connection:
        contributing.draft(connection, office.exchange, office.document(), viewer)


def test_what_is_told_already_is_not_told_twice(small_office: Office) -> None:
    office = small_office
    office.payout()
    id_ = office.sent()
    with pytest.raises(Conflict, match=f"`coalition` is told so already, by `{id_}`"):
        office.draft()
    office.draft(kind="sighting")
    with pytest.raises(Conflict, match="is told so already"):
        office.draft(kind="sighting")
    more = [{"kind": "email", "value": each} for each in (MAIL, "other@shop.example")]
    assert len(office.draft(Statement(unseen="on the contract"), kind="sighting", items=more).seen) == 2


def test_what_others_say_does_not_ride_along_in_what_we_say(small_office: Office) -> None:
    office = small_office
    office.payout()
    office.known()
    with pytest.raises(Conflict, match="another source says it here too"):
        office.draft()
    office.exchange = Exchange(office.exchange.recipients, own=frozenset({"IWF"}))
    office.draft(kind="sighting")  # a source of ours is our own word
    office.exchange = Exchange(office.exchange.recipients)
    made = office.draft(Statement(independent="the police told us"))
    office.agree(made.proposal.id)
    office.work()
    assert office.keeper.asked == 1
    with office.store.read() as connection:
        (stated,) = (each.independent for each in messages.of(connection, made.message.contribution or ""))
    assert stated == "the police told us"


def test_what_others_say_of_the_domain_does_not_ride_along_either(small_office: Office) -> None:
    office = small_office
    office.payout()
    domain = office.digester.digest(Identifier(kind="domain", value="shop.example"))
    said = Indicator("domain", domain, "IWF", "case-8", 90, "allegation")
    with office.store.write() as connection:
        indicators.add(connection, said, office.clock())
    with pytest.raises(Conflict, match="another source says it here too"):
        office.draft()
    with office.store.write() as connection:
        why = Correction("IWF", "wrong")
        indicators.withdraw(connection, domain, "IWF", "case-8", office.clock(), correction=why)
    office.draft()


def test_a_draft_whose_proposal_is_gone_is_not_kept(small_office: Office) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    with office.store.write() as connection:
        connection.execute(text("DELETE FROM proposals"))
    assert office.upkeep()
    assert office.contribution(made.message.contribution or "").state is State.LAPSED
    assert MAIL not in everything_stored(office)


def test_what_others_say_later_does_not_stop_what_was_drafted(small_office: Office) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    office.clock.advance(timedelta(minutes=1))
    office.known()
    office.agree(made.proposal.id)
    office.work()
    assert office.keeper.asked == 1


def test_others_knowledge_is_passed_on_as_they_allow_with_licence_and_origin(office: Office) -> None:
    office.listen(licences=["CC-BY-4.0"])
    office.known(**SHAREABLE, category="abuse")
    made = relay(office)
    office.agree(made.proposal.id)
    office.work()

    (heard,) = office.keeper.heard.values()
    assert heard.content is not None
    (item,) = heard.content.items
    assert (heard.content.origin, item.licence, item.reshare, item.tlp) == ("IWF", "CC-BY-4.0", True, "green")
    assert (item.reference, item.confidence, item.category) == ("case-7", 90, "abuse")

    # Its source takes it back: so do we.
    digest = office.known(**SHAREABLE, category="abuse").digest
    with office.store.write() as connection:
        indicators.withdraw(connection, digest, "IWF", "case-7", office.clock(), correction=Correction("IWF", "wrong"))
    assert office.upkeep()
    (proposal,) = office.open_proposals()
    assert (proposal.kind, proposal.proposed_by) == ("retraction", "paycordon")
    office.agree(proposal.id)
    office.work()
    assert office.contribution(made.message.contribution).state is State.RETRACTED
    assert verify(office.store).ok


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"reshare": False}, "does not allow to pass it on"),
        ({"licence": ""}, "states no licence"),
        ({"licence": "other"}, "not known to keep the licence"),
        ({"tlp": "amber"}, "TLP:AMBER does not go"),
        ({"source": "Lantern"}, "it came from this recipient"),
    ],
)
def test_others_knowledge_stays_where_they_do_not_allow_it(small_office: Office, said: Any, why: str) -> None:
    office = small_office
    office.listen(licences=["CC-BY-4.0"], source="Lantern")
    known = office.known(**{**SHAREABLE, **said})
    item = {"kind": "email", "value": MAIL, "reference": "case-7"}
    with pytest.raises(Conflict, match=why):
        office.draft(kind="relay", merchant=None, reason=None, origin=known.source, items=[item], tlp=None)


def test_a_mark_that_became_stricter_stops_it_at_each_of_the_later_steps(small_office: Office) -> None:
    office = small_office
    office.listen(licences=["CC-BY-4.0"])
    office.known(**SHAREABLE)
    made = relay(office)
    office.known(**{**SHAREABLE, "tlp": "red"})
    with pytest.raises(Conflict, match="TLP:RED does not go"):
        office.agree(made.proposal.id)

    office.known(**SHAREABLE)
    office.agree(made.proposal.id)
    office.known(**{**SHAREABLE, "tlp": "red"})
    office.work()
    assert office.keeper.asked == 0
    with office.store.read() as connection:
        (stuck,) = messages.listed(connection)
    assert stuck.state is MessageState.STUCK
    assert "TLP:RED does not go" in (stuck.last_error or "")
    assert verify(office.store).ok
