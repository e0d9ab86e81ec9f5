"""The simulated MATCH: signatures verified for real, fields compared, in the shapes of the public description."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jsonschema import Draft202012Validator, validate
from match_schemas import CALLS, ERRORS
from match_world import CONSUMER, KEY, OTHER, OTHER_PARTY, OWN, PARTY, PREFIX, inquiry, listed, simulated
from oauth1.oauth import OAuth

from paycordon.errors import ConfigError, Refused
from paycordon.exchange.contract import Party, Principal
from paycordon.exchange.inquiry import About, Likeness
from paycordon.simulated.match.command import CONSUMER_KEY, SimulatedMatch
from paycordon.simulators import SimulatedWebhook, SimulatorOptions

ASKED = {
    "TerminationInquiryRequest": {"AcquirerId": OWN, "Merchant": {"Name": "X", "SearchCriteria": {"SearchAll": "Y"}}}
}
PATH = "/termination-inquiry?PageOffset=0&PageLength=10"


def signed(url: str, body: bytes, method: str = "POST", consumer: str = CONSUMER, key: Any = KEY) -> dict[str, str]:
    header = OAuth.get_authorization_header(url, method, body, consumer, key)
    return {"authorization": header, "content-type": "application/json"}


def sent(url: str, body: bytes, headers: dict[str, str], method: str = "POST") -> tuple[int, Any]:
    answer = urllib3.request(method, url, body=body, headers=headers, timeout=10, retries=False)
    return answer.status, answer.json()


Forge = Callable[[str, bytes], tuple[str, bytes, dict[str, str]]]


def unsigned(url: str, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    return url, body, {"content-type": "application/json"}


def signed_by_somebody_else(url: str, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    return url, body, signed(url, body, key=generate_private_key(public_exponent=65537, key_size=2048))


def of_an_unknown_consumer(url: str, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    return url, body, signed(url, body, consumer="somebody")


def with_another_body(url: str, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    return url, body.replace(b'"X"', b'"Y"'), signed(url, body)


def with_another_query(url: str, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    return url.replace("PageLength=10", "PageLength=11"), body, signed(url, body)


def with_another_hash(url: str, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    other = body.replace(b'"X"', b'"Y"')
    forged = signed(url, body)
    hash_of = signed(url, other)["authorization"].split('oauth_body_hash="')[1].split('"')[0]
    mine = forged["authorization"].split('oauth_body_hash="')[1].split('"')[0]
    return url, other, {**forged, "authorization": forged["authorization"].replace(mine, hash_of)}


def without_a_signature(url: str, body: bytes) -> tuple[str, bytes, dict[str, str]]:
    headers = signed(url, body)
    return url, body, {**headers, "authorization": headers["authorization"].split(",oauth_signature=")[0]}


FORGED = (
    unsigned,
    signed_by_somebody_else,
    of_an_unknown_consumer,
    with_another_body,
    with_another_query,
    with_another_hash,
    without_a_signature,
)


def test_what_is_not_signed_as_it_must_be_is_refused_whole(match: Any) -> None:
    body = json.dumps(ASKED).encode()
    url = f"{match.base_url}{PREFIX}{PATH}"

    for forge in FORGED:
        address, data, headers = forge(url, body)
        status, said = sent(address, data, headers)
        assert (status, said["Errors"]["Error"][0]["ReasonCode"]) == (401, "AUTHENTICATION_FAILED"), forge.__name__
        validate(said, ERRORS)

    assert match.ledger.inquiries == {}
    assert sent(url, body, signed(url, body))[0] == 200


def test_a_request_that_was_seen_or_is_not_of_now_is_refused() -> None:
    now = [datetime.now(UTC)]
    with simulated(clock=lambda: now[0]) as match:
        body = json.dumps(ASKED).encode()
        url = f"{match.base_url}{PREFIX}{PATH}"
        headers = signed(url, body)

        assert sent(url, body, headers)[0] == 200
        assert sent(url, body, headers)[0] == 401
        for away in (timedelta(minutes=6), timedelta(minutes=-6)):
            now[0] = datetime.now(UTC) + away
            assert sent(url, body, signed(url, body))[0] == 401
    assert len(match.ledger.inquiries) == 1


def test_an_acquirer_of_somebody_else_is_refused(match: Any) -> None:
    asked = {"TerminationInquiryRequest": {**ASKED["TerminationInquiryRequest"], "AcquirerId": OTHER}}
    body = json.dumps(asked).encode()
    url = f"{match.base_url}{PREFIX}{PATH}"

    assert sent(url, body, signed(url, body))[0] == 403


def test_an_honest_merchant_is_not_named(match: Any) -> None:
    match.list_merchant(OTHER, listed())

    assert inquiry(match).ask(OTHER_PARTY, "inq_1").matches == ()


def test_a_listed_merchant_is_found_by_its_tax_number_exactly_and_by_its_name_in_part(match: Any) -> None:
    match.list_merchant(OTHER, listed(DoingBusinessAsName="", Principal=[], Url=[], PhoneNumber="15550199"))
    asked = Party(legal_name="Bayt Shoppe Limited", tax_id="ie 6388047 v", address=PARTY.address)

    (found,) = inquiry(match, least=2).ask(asked, "inq_1").matches

    assert {each.about: each.likeness for each in found.matched} == {
        About.LEGAL_NAME: Likeness.ALIKE,
        About.TAX_ID: Likeness.EXACT,
        About.ADDRESS: Likeness.EXACT,
    }
    assert (found.reason, found.listed_by) == ("match:13", OTHER)
    assert inquiry(match, least=4).ask(asked, "inq_2").matches == ()


def test_an_address_alone_names_nobody(match: Any) -> None:
    match.list_merchant(OTHER, listed())

    assert inquiry(match).ask(Party(legal_name="Other", address=PARTY.address), "inq_1").matches == ()


def test_numbers_that_identify_somebody_are_masked(match: Any) -> None:
    match.list_merchant(OTHER, listed())
    inquiry(match).ask(PARTY, "inq_1")

    _, answer = match.exchanged[-1]
    assert "6388047" not in json.dumps(answer.body)
    assert "9999999W" not in json.dumps(answer.body)


def test_principals_and_websites_are_told_apart(match: Any) -> None:
    people = [{"FirstName": "Kim", "LastName": "Other"}, {"FirstName": "Pat", "LastName": "Example"}]
    match.list_merchant(OTHER, listed(Principal=people, Url=["https://bait.example/shop", "https://else.example"]))
    asked = PARTY.model_copy(update={"principals": (Principal(first_name="Pat", last_name="Example"),)})

    (found,) = inquiry(match).ask(asked, "inq_1").matches

    assert [[(each.about, each.value) for each in who] for who in found.people] == [[(About.PERSON, "Pat Example")]]
    assert [each.value for each in found.matched if each.about is About.URL] == ["https://bait.example/shop"]


def test_pages_are_read_to_the_end(match: Any) -> None:
    for number in range(60):
        match.list_merchant(OTHER, listed(MerchantId=f"m{number}", Name=f"Bait Shop {number}"))

    found = inquiry(match).ask(PARTY, "inq_1").matches

    assert (len(found), len({each.listing for each in found})) == (60, 60)


def test_what_others_list_later_is_heard_of_for_360_days_and_what_oneself_lists_is_not(match: Any) -> None:
    asks = inquiry(match)
    early = asks.ask(PARTY, "inq_1").reference
    match.advance(timedelta(days=359))
    late = asks.ask(PARTY, "inq_2").reference
    match.list_merchant(OWN, listed(MerchantId="own"))
    assert list(asks.later({early, late})) == []

    match.list_merchant(OTHER, listed())
    assert [each.reference for each in asks.later({early, late})] == [early, late]
    assert [each.reference for each in asks.later({late})] == [late]

    match.advance(timedelta(days=2))
    reference = match.list_merchant("3003", listed(Name="Bait Shop Two"))
    assert [len(each.matches) for each in asks.later({early, late})] == [1, 2]
    match.remove(reference)
    assert [len(each.matches) for each in asks.later({early, late})] == [1, 1]


def test_a_listing_ends_after_five_years(match: Any) -> None:
    match.list_merchant(OTHER, listed())
    match.advance(timedelta(days=5 * 365))

    assert inquiry(match).ask(PARTY, "inq_1").matches == ()


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"Name": ""}, "Name"),
        ({"ReasonCode": "06"}, "ReasonCode"),
        ({"MerchantId": "x" * 15}, "MerchantId"),
        ({"DateClosed": "2026-03-19"}, "DateClosed"),
        ({"PhoneNumber": "+353 1"}, "PhoneNumber"),
        ({"Principal": [{"FirstName": "A", "LastName": "B"}] * 6}, "Principal"),
        ({"Url": ["x" * 20_001]}, "Url"),
        ({"Address": {"Line1": "1 Elm Avenue"}}, "City"),
    ],
)
def test_a_listing_that_lacks_something_is_refused_in_the_words_of_the_service(
    match: Any, changes: dict[str, Any], source: str
) -> None:
    body = json.dumps({"AddMerchantRequest": {"AcquirerId": OWN, "Merchant": listed(**changes)}}).encode()
    url = f"{match.base_url}{PREFIX}/add-merchant"

    status, said = sent(url, body, signed(url, body))

    assert (status, said["Errors"]["Error"][0]["Source"]) == (400, source)
    validate(said, ERRORS)
    assert match.ledger.listed == {}


def test_requests_and_answers_have_the_shapes_of_the_description(match: Any) -> None:
    asks = inquiry(match)
    first = asks.ask(PARTY, "inq_1").reference
    asks.ask(Party(legal_name="Bait Shop Ltd"), "inq_2")
    list(asks.later({first}))
    match.list_merchant(OTHER, listed())
    asks.ask(PARTY, "inq_3")
    list(asks.later({first}))
    for schema in (each for pair in CALLS.values() for each in pair):
        Draft202012Validator.check_schema(schema)

    seen = set()
    for request, answer in match.exchanged:
        path = request.path.removeprefix(PREFIX)
        asked, answered = CALLS[path]
        validate(json.loads(request.body), asked)
        validate(answer.body, answered)
        seen.add(path)
    assert seen == CALLS.keys() - {"/add-merchant"}


def test_the_command_brings_a_key_that_can_be_fetched() -> None:
    simulator = SimulatedMatch(SimulatorOptions())
    described = simulator.start()
    try:
        key: Any = load_pem_private_key(
            urllib3.request("GET", f"{described.control}signing_key", timeout=10).data, password=None
        )
        body = json.dumps(ASKED).encode()
        url = f"{described.address}{PREFIX}{PATH}"
        assert sent(url, body, signed(url, body, consumer=CONSUMER_KEY, key=key))[0] == 200
        listing = json.dumps({"acquirer": OTHER, "merchant": listed()}).encode()
        assert sent(f"{described.control}listed", listing, {})[0] == 200
        assert sent(f"{described.control}removals", b'{"reference": "x"}', {})[0] == 404
    finally:
        simulator.stop()
    assert any("curl" in line for line in described.use)
    with pytest.raises(ConfigError, match="no webhooks"):
        SimulatedMatch(SimulatorOptions(webhooks=(SimulatedWebhook("http://127.0.0.1:9/", "s"),)))


def test_the_client_tells_what_is_refused_and_repeats_nothing(match: Any) -> None:
    with pytest.raises(Refused) as refused:
        inquiry(match).ask(Party(legal_name=" \u00a0", tax_id="secret-number"), "inq_1")

    assert "MISSING_REQUIRED_INPUT" in str(refused.value)
    assert "secret-number" not in str(refused.value)
