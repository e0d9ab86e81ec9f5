"""Each kind has one spelling; vectors are those of the standards and of the libraries' own documentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycordon.coalition import networks
from paycordon.coalition.identifiers import is_valid, normalise
from paycordon.coalition.normalisers import NORMALISERS, domains
from paycordon.events import Identifier, IdentifierKind

# BIP 173 and BIP 350 (SegWit), EIP-55, and addresses of the chains' own first blocks.
GENESIS = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
P2SH = "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"
P2WPKH = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
TAPROOT = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
EIP55 = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def of(kind: str, value: str) -> Identifier:
    return Identifier.model_validate({"kind": kind, "value": value})


@pytest.mark.parametrize(
    ("kind", "written", "country", "spelling"),
    [
        ("email", "Jane.Doe+shop@GoogleMail.com", None, "janedoe@gmail.com"),
        ("email", "JANE+x@Outlook.com", None, "jane@outlook.com"),
        ("email", "Jane+x@shop.example", None, "jane+x@shop.example"),
        ("email", "jane@BÜCHER.example", None, "jane@xn--bcher-kva.example"),
        ("phone", "030 1234567", "DE", "+49301234567"),
        ("phone", "+49 (0)30 1234567", None, "+49301234567"),
        ("phone", "0049 30 1234567", "DE", "+49301234567"),
        ("phone", "(202) 555-0143", "US", "+12025550143"),
        ("domain", "WWW.Bücher.example.", None, "xn--bcher-kva.example"),
        ("domain", "faß.example", None, "xn--fa-hia.example"),
        ("url", "HTTPS://www.Shop.example:443/a/../b//c/?utm_source=x&b=2&a=1#top", None, "shop.example/b/c?a=1&b=2"),
        ("url", "shop.example", None, "shop.example"),
        ("url", "http://user:secret@shop.example:8080/%7Ejane", None, "shop.example:8080/~jane"),
        ("person", "Doe,  JANE", None, "doe jane"),
        ("person", "Jane Doe", None, "doe jane"),
        ("legal_entity", "Acme Trading, Inc.", None, "acme trading"),
        ("legal_entity", "ACME TRADING Incorporated", None, "acme trading"),
        ("legal_entity", "Müller Handels Gesellschaft mit beschränkter Haftung", None, "müller handels"),
        ("legal_entity", "GmbH", None, "gmbh"),
        ("tax_id", "DE 136,695 976", None, "136695976"),
        ("tax_id", "136695976", "DE", "136695976"),
        ("tax_id", "NL 004495445B01", "NL", "004495445B01"),
        ("iban", "gb82 west 1234 5698 7654 32", None, "GB82WEST12345698765432"),
        ("wallet", GENESIS, None, GENESIS),
        ("wallet", f"bitcoin:{P2SH}?amount=1", None, P2SH),
        ("wallet", P2WPKH.upper(), None, P2WPKH),
        ("wallet", TAPROOT, None, TAPROOT),
        ("wallet", EIP55, None, EIP55.lower()),
        ("wallet", EIP55.lower(), None, EIP55.lower()),
        ("ip", "::ffff:192.0.2.1", None, "192.0.2.1"),
        ("ip", "2001:0DB8:0:0::1", None, "2001:db8::1"),
        ("ip", "192.0.2.77/24", None, "192.0.2.0/24"),
        ("descriptor", "ACME*  Shop", None, "acme shop"),
        ("analytics_id", "ua-12345-7", None, "UA-12345"),
        ("analytics_id", "ca-pub-1234567890", None, "PUB-1234567890"),
        ("handle", "@Jane_Doe", None, "jane_doe"),
        ("handle", "https://t.me/Jane_Doe", None, "jane_doe"),
        ("bank_account", "  AbC123 ", None, "AbC123"),
        ("card_fingerprint", "fpX1", None, "fpX1"),
        ("device", "d-1 ", None, "d-1"),
        ("merchant_id", "0012 34", None, "0012 34"),
        ("something_new", " Kept As It Is ", None, "Kept As It Is"),
    ],
)
def test_one_spelling(kind: str, written: str, country: str | None, spelling: str) -> None:
    identifier = of(kind, written)
    assert is_valid(identifier, country)
    assert normalise(identifier, country) == spelling
    assert normalise(of(kind, spelling), country) == spelling


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "nobody"),
        ("email", "two words@shop.example"),
        ("phone", "030 1234567"),  # of no country
        ("phone", "12"),
        ("domain", "no domain"),
        ("url", "ftp://shop.example"),
        ("url", "http://[broken"),
        ("iban", "GB82WEST12345698765433"),
        ("wallet", GENESIS[:-1] + "b"),
        ("wallet", P2WPKH[:-1] + "5"),
        ("wallet", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd"),  # BIP 350: v1 with Bech32
        ("wallet", "BC1QW508D6QEJXTDG4Y5R3ZARVARYVaXXPCS"),
        ("wallet", EIP55.replace("aA", "Aa")),
        ("wallet", "0x1234"),
        ("ip", "300.1.1.1"),
        ("analytics_id", "?"),
    ],
)
def test_what_is_nothing_of_its_kind_has_its_plain_spelling(kind: str, value: str) -> None:
    identifier = of(kind, value)
    assert not is_valid(identifier)
    assert normalise(identifier) == normalise(of(kind, f" {value} "))


def test_every_kind_of_the_glossary_has_a_normaliser() -> None:
    assert set(NORMALISERS) == set(IdentifierKind)
    assert len(NORMALISERS) >= 16


@given(
    kind=st.sampled_from(list(IdentifierKind)), value=st.text(min_size=1), country=st.sampled_from([None, "DE", "US"])
)
def test_any_text_has_a_spelling_that_is_its_own_spelling(kind: str, value: str, country: str | None) -> None:
    identifier = Identifier.model_construct(kind=kind, value=value, digest=None)
    once = normalise(identifier, country)
    again = normalise(Identifier.model_construct(kind=kind, value=once, digest=None), country)
    if is_valid(identifier, country):
        assert again == once


def test_a_host_lies_in_domains_up_to_the_registered_one() -> None:
    assert domains("a.b.shop.co.uk") == ["a.b.shop.co.uk", "b.shop.co.uk", "shop.co.uk"]
    assert domains("jane.github.io") == ["jane.github.io"]  # a public suffix of its own
    assert domains("co.uk") == []


def test_a_range_is_written_as_networks_that_are_looked_up() -> None:
    assert networks.parts("192.0.2.1") == ["192.0.2.1"]
    assert networks.parts("192.0.2.0/30") == [f"192.0.2.{n}" for n in range(4)]
    assert networks.parts("192.0.0.0/22") == [f"192.0.{n}.0/24" for n in range(4)]
    assert networks.parts("2001:db8::/47") == ["2001:db8::/48", "2001:db8:1::/48"]
    assert list(networks.around("192.0.2.1")) == ["192.0.2.0/24", "192.0.0.0/20", "192.0.0.0/16"]
    for too_much in ("10.0.0.0/8", "2001:db8::/100", "nonsense"):
        with pytest.raises(ValueError, match="is "):
            networks.parts(too_much)


@given(address=st.ip_addresses(v=4), length=st.integers(16, 32))
def test_every_address_of_a_range_meets_it(address: object, length: int) -> None:
    form = networks.canonical(f"{address}/{length}")
    assert form is not None
    assert {str(address), *networks.around(str(address))} & set(networks.parts(form))
