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
        ("email", "Jane Doe <Jane@Shop.example>", None, "jane@shop.example"),
        ("email", "mailto:jane@shop.example?subject=x", None, "jane@shop.example"),
        ("email", "jane+x@hotmail.co.uk", None, "jane@hotmail.co.uk"),
        ("email", "j.a_n-e+x@pm.me", None, "jane@proton.me"),
        ("email", "jane.doe+x@ya.ru", None, "jane-doe@yandex.ru"),
        ("email", "jane-shop@yahoo.co.jp", None, "jane@yahoo.co.jp"),
        ("email", "jane@BÜCHER.example", None, "jane@xn--bcher-kva.example"),
        ("phone", "030 1234567", "DE", "+49301234567"),
        ("phone", "+49 (0)30 1234567", None, "+49301234567"),
        ("phone", "0049 30 1234567", "DE", "+49301234567"),
        ("phone", "(202) 555-0143", "US", "+12025550143"),
        ("phone", "00 31 20 1234567", "US", "+31201234567"),
        ("phone", "tel:+31-20-1234567", None, "+31201234567"),
        ("domain", "WWW.Bücher.example.", None, "xn--bcher-kva.example"),
        ("domain", "https://www.shop.example:8443/a?b#c", None, "shop.example"),
        ("domain", "*.shop.example", None, "shop.example"),
        ("domain", "shop.example/", None, "shop.example"),
        ("domain", "faß.example", None, "xn--fa-hia.example"),
        ("url", "HTTPS://www.Shop.example:443/a/../b//c/?utm_source=x&b=2&a=1#top", None, "shop.example/b/c?a=1&b=2"),
        ("url", "shop.example", None, "shop.example"),
        ("url", "http://user:secret@shop.example:8080/%7Ejane", None, "shop.example:8080/~jane"),
        ("person", "Doe,  JANE", None, "doe jane"),
        ("person", "Jane Doe", None, "doe jane"),
        ("person", "Dr. Jané Doe", None, "doe jane"),
        ("person", "Miss Prof", None, "miss prof"),
        ("person", "Łukasz Sørensen", None, "lukasz sorensen"),
        ("person", "Андрей Йович", None, "андрей йович"),
        ("legal_entity", "Acme Trading, Inc.", None, "acme trading"),
        ("legal_entity", "ACME TRADING Incorporated", None, "acme trading"),
        ("legal_entity", "Müller Handels Gesellschaft mit beschränkter Haftung", None, "muller handels"),
        ("legal_entity", "GmbH", None, "gmbh"),
        ("legal_entity", "Acme Limited Liability Partnership", None, "acme"),
        ("legal_entity", "Общество с ограниченной ответственностью Акме", None, "акме"),  # noqa: RUF001
        ("tax_id", "DE 136,695 976", None, "136695976"),
        ("tax_id", "136695976", "DE", "136695976"),
        ("tax_id", "NL 004495445B01", "NL", "004495445B01"),
        # The examples of the countries' own registers, as `python-stdnum` documents them.
        ("tax_id", "4495445B01", "NL", "004495445B01"),
        ("tax_id", "EL 094259216", None, "094259216"),
        ("tax_id", "GB 980 7806 84", None, "980780684"),
        ("tax_id", "980780684", "GB", "980780684"),
        ("tax_id", "CHE-107.787.577 MWST", None, "CHE107787577"),
        ("tax_id", "CHE-107.787.577 IVA", "CH", "CHE107787577"),
        ("tax_id", "NO 995 525 828 MVA", None, "995525828"),
        ("tax_id", "NO 995525828", None, "995525828"),
        ("tax_id", "FR 40 303 265 045", None, "303265045"),
        ("tax_id", "303 265 045", "FR", "303265045"),
        ("tax_id", "732 829 320 00074", "FR", "732829320"),
        ("tax_id", "SE 123456789701", None, "1234567897"),
        ("tax_id", "27AAPFU0939F1ZV", "IN", "AAPFU0939F"),
        ("tax_id", "12-3456789", "US", "123456789"),
        ("tax_id", "an-unknown-1", "ZZ", "ANUNKNOWN1"),
        # ISO 13616: the registry's own examples.
        ("iban", "DE89 3704 0044 0532 0130 00", None, "DE89370400440532013000"),
        ("iban", "fr14 2004 1010 0505 0001 3m02 606", None, "FR1420041010050500013M02606"),
        ("iban", "NO93 8601 1117 947", None, "NO9386011117947"),
        ("iban", "MT84 MALT 0110 0001 2345 MTLC AST0 01S", None, "MT84MALT011000012345MTLCAST001S"),
        ("iban", "BR18 0036 0305 0000 1000 9795 493C 1", None, "BR1800360305000010009795493C1"),
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
        ("url", "http://[2001:DB8::1]:8080/a", None, "[2001:db8::1]:8080/a"),
        ("url", "http://192.0.2.1/a", None, "192.0.2.1/a"),
        ("descriptor", "ACME*  Shop", None, "acme shop"),
        ("analytics_id", "ua-12345-7", None, "UA-12345"),
        ("analytics_id", "ca-pub-1234567890", None, "PUB-1234567890"),
        ("handle", "@Jane_Doe", None, "jane_doe"),
        ("handle", "https://t.me/Jane_Doe", None, "jane_doe"),
        ("handle", "https://www.instagram.com/Jane_Doe/?hl=en", None, "jane_doe"),
        ("handle", "https://x.com/Jane_Doe/status/1", None, "jane_doe"),
        ("handle", "reddit.com/user/Jane_Doe", None, "jane_doe"),
        ("handle", "https://www.tiktok.com/@Jane_Doe", None, "jane_doe"),
        ("handle", "https://www.facebook.com/profile.php?sk=about&id=100001", None, "100001"),
        ("handle", "@jane@social.example", None, "jane@social.example"),
        ("bank_account", "  AbC123 ", None, "AbC123"),
        ("bank_account", "12-34-56 0012345678", None, "1234560012345678"),
        ("bank_account", "GB82 WEST 1234 5698 7654 32", None, "GB82WEST12345698765432"),
        ("device", "123E4567-E89B-12D3-A456-426614174000", None, "123e4567-e89b-12d3-a456-426614174000"),
        ("device", "00-1A-2B-3C-4D-5E", None, "00:1a:2b:3c:4d:5e"),
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
        ("email", "two@at@shop.example;other"),
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


# What standards and projects publish: CashAddr's specification, XLS-5, SEP-23, CIP-19, Substrate's and TON's
# documentation, the test vectors of Monero (its own donation addresses), Tezos, Zcash, Algorand and the Cosmos SDK.
WALLETS = {
    "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t": None,  # Tron
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v": None,  # Solana
    "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a": "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu",
    "QPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVY22GDX6A": "1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu",
    "bitcoincash:ppm2qsznhks23z7629mms6s4cwef74vcwvn0h829pq": "3CWFddi6m4ndiGyKqzYvsFYagqDLPVMTzC",
    "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H": None,
    "4LL9oSLmtpccfufTMvppY6JwXNouMBzSkbLYfpAV5Usx3skxNgYeYTRj5UzqtReoS44qo9mtmXCqY45DJ852K5Jv2bYXZKKQePHES9khPK": (
        "4AdUndXHHZ6cfufTMvppY6JwXNouMBzSkbLYfpAV5Usx3skxNgYeYTRj5UzqtReoS44qo9mtmXCqY45DJ852K5Jv2684Rge"
    ),
    "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh": None,
    "X7AcgcsBL6XDcUb289X4mJ8djcdyKaB5hJDWMArnXr61cqZ": "r9cZA1mLK5R5Am25ArfXFmqgNwjZgnfk59",
    "X7AcgcsBL6XDcUb289X4mJ8djcdyKaGZMhc9YTE92ehJ2Fu": None,  # with a tag
    "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ": None,
    "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJUAAAAAAAAAAAACJUQ": None,
    "addr1qx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzer3n0d3vllmyqwsx5wktcd8cc3sq835lu7drv2xwl2wywfgse35a3x": None,
    "Ae2tdPwUPEZLs4HtbuNey7tK4hTKrwNwYtGqp7bDfCy2WdR3P6735W5Yfpe": None,  # Cardano's first era
    "cosmos1fl48vsnmsdzcv85q5d2q4z5ajdha8yu34mf0eh": None,
    "zs1z7rejlpsa98s2rrrfkwmaxu53e4ue0ulcrw0h4x5g8jl04tak0d3mm47vdtahatqrlkngh9slya": None,
    "t3Vz22vK5z2LcKEdg16Yv4FFneEL1zg9ojd": None,
    "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb": None,
    "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY": None,
    "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
    "EQCD39VS5jcptHL8vMjEXrzGaRcCVYto7HUn4bpAOg8xqB2N": (
        "0:83dfd552e63729b472fcbcc8c45ebcc6691702558b68ec7527e1ba403a0f31a8"
    ),
    "ton://transfer/UQCD39VS5jcptHL8vMjEXrzGaRcCVYto7HUn4bpAOg8xqEBI?amount=1": (
        "0:83dfd552e63729b472fcbcc8c45ebcc6691702558b68ec7527e1ba403a0f31a8"
    ),
    "VCMJKWOY5P5P7SKMZFFOCEROPJCZOTIJMNIYNUCKH7LRO45JMJP6UYBIJA": None,  # Algorand
    f"ethereum:{EIP55}@1?value=1": EIP55.lower(),
}


@pytest.mark.parametrize("written", WALLETS)
def test_a_wallet_of_each_chain_has_one_spelling_and_no_wrong_letter(written: str) -> None:
    spelling = WALLETS[written] or written
    assert is_valid(of("wallet", written))
    assert normalise(of("wallet", written)) == spelling
    assert normalise(of("wallet", spelling)) == spelling
    if written.startswith(("EPj", "ethereum")):  # no check sum, or only where both cases occur
        return
    address = written.partition("?")[0]
    for at in range(len(address) - 30, len(address)):
        other = "q" if address[at].lower() != "q" else "p"
        other = other.upper() if address[at].isupper() else other
        assert not is_valid(of("wallet", f"{address[:at]}{other}{address[at + 1 :]}"))


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
