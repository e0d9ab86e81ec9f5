"""A terminated merchant is listed once, whatever becomes of the answer, and in full or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import validate
from match_schemas import ADD, ADD_ANSWER
from match_world import OWN, PARTY, PREFIX, access, inquiry, listed, recipient

from paycordon.errors import ConfigError, OutcomeUnknown, Refused, RetryLater
from paycordon.exchange.contract import Address, Contribution, ContributionKind, Outgoing, Receipt, Verb
from paycordon.exchange.match.client import MatchAccess, MatchClient
from paycordon.exchange.match.documents import merchant_of
from paycordon.simulation import Fault, FaultKind


def terminated(**changes: Any) -> Contribution:
    given = {"kind": ContributionKind.TERMINATION, "party": PARTY, "reason": "match:13"}
    return Contribution(**given | changes)


def adding(content: Contribution | None = None) -> Outgoing:
    return Outgoing("paycordon-add-1", Verb.ADD, "ctr_1", content=content or terminated(), why="Illegal goods.")


def test_what_is_sent_has_the_shape_of_the_description(match: Any) -> None:
    receipt = recipient(match).send(adding())

    request, answer = match.exchanged[-1]
    validate(json.loads(request.body), ADD)
    validate(answer.body, ADD_ANSWER)
    told = json.loads(request.body)["AddMerchantRequest"]["Merchant"]
    assert receipt == Receipt(f"{OWN}/m-17")
    assert (told["Address"]["Country"], told["PhoneNumber"]) == ("IRL", "15550100")
    assert (told["DateOpened"], told["DateClosed"], told["ReasonCode"]) == ("03/02/2025", "11/20/2026", "13")
    assert (told["Comments"], told["CATFlag"]) == ("Illegal goods.", "N")


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.ERROR_AFTER, FaultKind.GARBLED])
def test_a_merchant_is_listed_once_when_the_answer_never_came(match: Any, kind: FaultKind) -> None:
    match.inject(Fault(kind, path="add-merchant"))
    with pytest.raises(OutcomeUnknown):
        recipient(match).send(adding())
    assert len(match.ledger.listed) == 1

    assert recipient(match).send(adding()) == Receipt(f"{OWN}/m-17", already=True)
    assert len(match.ledger.listed) == 1


def test_what_others_have_listed_is_not_taken_for_ours(match: Any) -> None:
    match.list_merchant("2001", listed())
    match.list_merchant(OWN, listed(Name="Bait Shop of Cork", NationalTaxId="IE1"))
    match.inject(Fault(FaultKind.ANSWER, path="add-merchant", status=400))

    with pytest.raises(Refused, match="SIMULATED"):
        recipient(match).send(adding())
    assert not recipient(match).send(adding()).already


def test_it_asks_again_when_it_could_not_be_looked(match: Any) -> None:
    recipient(match).send(adding())
    match.inject(Fault(FaultKind.ERROR_BEFORE, path="termination-inquiry"))

    with pytest.raises(RetryLater):
        recipient(match).send(adding())


def test_what_lacks_a_field_is_refused_while_it_is_a_draft(match: Any) -> None:
    tells = recipient(match)
    bare = PARTY.model_copy(update={"phone": "", "mcc": None, "address": Address()})
    for content, said in (
        (terminated(party=bare), "`mcc`, `phone`, `address`"),
        (terminated(reason="own:13"), "such as `match:13`"),
        (terminated(party=None), "`party` is needed"),
        (terminated(party=PARTY.model_copy(update={"merchant_id": "x" * 15})), "at most 14"),
        (terminated(party=PARTY.model_copy(update={"urls": ("https://bait.example/" + "x" * 230,) * 90})), "20000"),
        (terminated(party=PARTY.model_copy(update={"closed_on": None})), "`ended_on`"),
    ):
        with pytest.raises(Refused, match=said) as refused:
            tells.check(content)
        assert "Bait" not in str(refused.value)
    tells.check(terminated())
    with pytest.raises(Refused, match="additions only"):
        tells.send(Outgoing("k", Verb.RETRACT, "ctr_1", 2, theirs=f"{OWN}/m-17"))


def test_tax_numbers_of_other_countries_are_left_out_where_the_list_does_not_want_them(match: Any) -> None:
    assert merchant_of(PARTY, "all")["NationalTaxId"] == PARTY.tax_id
    assert "NationalTaxId" not in merchant_of(PARTY, "us")
    there = Address(street="1 Elm", city="Dallas", region="TX", postal_code="75001", country="US")
    told = merchant_of(PARTY.model_copy(update={"address": there}), "us")
    assert told["NationalTaxId"] == PARTY.tax_id
    assert (told["Address"]["CountrySubdivision"], told["Address"]["Country"]) == ("TX", "USA")


def test_a_key_that_is_none_and_an_open_line_stop_the_start(match: Any) -> None:
    given = {name: value for name, value in access(match).items() if name != "format"}
    with pytest.raises(ConfigError, match="RSA private key") as wrong:
        MatchClient(MatchAccess(**given | {"signing_key": "-----BEGIN SECRET"}))
    assert "SECRET" not in str(wrong.value)
    with pytest.raises(ConfigError, match="https"):
        MatchClient(MatchAccess(**given | {"url": "http://match.example"}))


HOSTILE: list[Any] = [
    [],
    {"TerminationInquiry": []},
    {"TerminationInquiry": {"PossibleMerchantMatches": "all"}},
    {"TerminationInquiry": {"PossibleMerchantMatches": [{"TotalLength": "1e9"}]}},
    {"TerminationInquiry": {"PossibleMerchantMatches": [{"TotalLength": 999, "TerminatedMerchant": []}]}},
    {"TerminationInquiry": {"PossibleMerchantMatches": [{"TotalLength": 50, "TerminatedMerchant": []}]}},
    {
        "TerminationInquiry": {
            "Ref": "x/..%2f?",
            "PossibleMerchantMatches": [{"TotalLength": 2, "TerminatedMerchant": []}],
        }
    },
    {"TerminationInquiry": {"PossibleMerchantMatches": [{"TerminatedMerchant": [{"Merchant": "Pat Example"}]}]}},
]


def test_an_answer_that_is_malformed_or_without_end_is_refused_and_not_repeated(match: Any, httpserver: Any) -> None:
    for hostile in HOSTILE:
        httpserver.clear()
        httpserver.expect_request(f"{PREFIX}/termination-inquiry").respond_with_json(hostile)
        with pytest.raises(Refused) as refused:
            inquiry(match, url=httpserver.url_for(PREFIX)).ask(PARTY, "inq_1")
        assert "Example" not in str(refused.value)
    for body in ("[" * 50_000, '"' + "x" * 5_000_000 + '"'):
        httpserver.clear()
        httpserver.expect_request(f"{PREFIX}/termination-inquiry").respond_with_data(body)
        with pytest.raises(RetryLater):
            inquiry(match, url=httpserver.url_for(PREFIX)).ask(PARTY, "inq_1")


def test_pages_that_bring_the_same_for_ever_are_given_up(match: Any, httpserver: Any) -> None:
    match.list_merchant("2001", listed())
    inquiry(match).ask(PARTY, "inq_1")
    entry = match.exchanged[-1][1].body["TerminationInquiry"]["PossibleMerchantMatches"][0]["TerminatedMerchant"]
    page = {"Ref": "x/77", "PossibleMerchantMatches": [{"TotalLength": 200, "TerminatedMerchant": entry * 26}]}
    httpserver.expect_request(f"{PREFIX}/termination-inquiry").respond_with_json({"TerminationInquiry": page})
    httpserver.expect_request(f"{PREFIX}/termination-inquiry/77").respond_with_json({"TerminationInquiry": page})

    with pytest.raises(Refused, match="do not come to the number"):
        inquiry(match, url=httpserver.url_for(PREFIX)).ask(PARTY, "inq_2")
    assert len(httpserver.log) < 10
