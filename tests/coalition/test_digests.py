"""Digests are keyed; a new key or a new spelling makes nothing that is stored match no more."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from paycordon.coalition.identifiers import LOW_ENTROPY, Digester, normalise, unkeyed_digest
from paycordon.coalition.relations import Relation
from paycordon.coalition.warninglist import read, shipped
from paycordon.errors import ConfigError
from paycordon.events import Event, Identifier, IdentifierKind
from paycordon.testing import make_event

OLD, NEW = b"o" * 32, b"n" * 32


def of(kind: str, value: str) -> Identifier:
    return Identifier.model_validate({"kind": kind, "value": value})


def with_identifiers(*identifiers: Identifier, country: str | None = "NL") -> Event:
    return make_event("payout.requested", merchant={"id": "m", "country": country}, identifiers=identifiers)


def test_a_digest_is_the_keyed_hash_of_kind_and_spelling() -> None:
    expected = hmac.new(OLD, b"email\0jane@shop.example", hashlib.sha256).hexdigest()
    assert Digester({"k1": OLD}, "k1").digest(of("email", " Jane@Shop.example")) == f"k1:{expected}"


def test_after_a_rotation_an_event_is_looked_up_under_every_key_that_is_listed() -> None:
    before, after = Digester({"k1": OLD}, "k1"), Digester({"k1": OLD, "k2": NEW}, "k2")
    email = of("email", "jane@shop.example")
    leads = after.leads(with_identifiers(email))
    (identifier,) = leads.event.identifiers
    assert identifier.digest == after.digest(email) != before.digest(email)
    assert leads.older == {identifier.digest: (before.digest(email),)}
    assert {d for d in leads.derived if d.startswith("k1:")} == {before.digest(of("domain", "shop.example"))}


def test_what_was_stored_under_the_first_spelling_is_still_met() -> None:
    digester = Digester({"k1": OLD}, "k1")
    first = hmac.new(OLD, b"phone\x000612345678", hashlib.sha256).hexdigest()  # as the first version wrote it
    leads = digester.leads(with_identifiers(of("phone", "06-12345678")))
    assert leads.older == {digester.digest(of("phone", "+31612345678")): (f"k1:{first}",)}


def test_what_follows_from_an_identifier_is_looked_up_as_well() -> None:
    digester = Digester({"k1": OLD}, "k1")
    found = digester.leads(
        with_identifiers(of("url", "https://eu.shop.example/x"), of("email", "a@mail.example"), of("ip", "192.0.99.1"))
    ).derived
    relations = {digest: lead.relation for digest, lead in found.items()}
    for domain in ("eu.shop.example", "shop.example", "mail.example"):
        assert relations[digester.digest(of("domain", domain))] is Relation.DOMAIN
    (stored,) = digester.of_indicator(of("ip", "192.0.99.0/24"))
    assert relations[stored] is Relation.NETWORK
    assert len(digester.of_indicator(of("ip", "192.0.98.0/23"))) == 2


def test_an_address_of_the_network_in_a_url_leads_to_its_networks_and_no_domain() -> None:
    digester = Digester({"k1": OLD}, "k1")
    for host, network in (("192.0.99.1", "192.0.99.0/24"), ("[2001:db8::1]", "2001:db8::/48")):
        found = digester.leads(with_identifiers(of("url", f"https://{host}/x"))).derived
        assert found[digester.digest(of("ip", host.strip("[]")))].relation is Relation.NETWORK
        assert digester.of_indicator(of("ip", network))[0] in found
        assert {lead.relation for lead in found.values()} == {Relation.NETWORK}


def test_a_mailbox_providers_domain_is_no_lead_and_is_said_to_be_common() -> None:
    digester = Digester({"k1": OLD, "k2": NEW}, "k2")
    assert digester.leads(with_identifiers(of("email", "jane@gmail.com"))).derived == {}
    leads = digester.leads(with_identifiers(of("domain", "gmail.com"), of("ip", "104.16.9.9")))
    assert set(leads.common.values()) == {"mailbox provider", "content delivery network"}
    given = Identifier(kind=IdentifierKind.DOMAIN, digest=Digester({"k1": OLD}, "k1").digest(of("domain", "gmail.com")))
    assert list(digester.leads(with_identifiers(given)).common.values()) == ["mailbox provider"]


def test_leads_and_conceal_agree_on_the_event() -> None:
    digester = Digester({"k1": OLD, "k2": NEW}, "k2")
    event = with_identifiers(of("phone", "020 1234567"), of("email", "A@b.example"), of("email", "a@B.example"))
    assert digester.leads(event).event == digester.conceal(event)
    assert len(digester.conceal(event).identifiers) == 2


@pytest.mark.parametrize("kind", sorted({*LOW_ENTROPY, "something_new"}))
def test_kinds_that_can_be_tried_out_are_never_digested_without_a_key(kind: str) -> None:
    with pytest.raises(ValueError, match="reversed by trying"):
        unkeyed_digest(of(kind, "+31612345678"))


@pytest.mark.parametrize("value", ["https://shop.example", "shop.example/", "no url"])
def test_a_url_that_is_only_a_host_is_never_digested_without_a_key(value: str) -> None:
    with pytest.raises(ValueError, match="reversed by trying"):
        unkeyed_digest(of("url", value))


def test_other_kinds_may_leave_as_plain_digests() -> None:
    url = of("url", "https://Shop.example/a?utm_source=x")
    assert unkeyed_digest(url) == hashlib.sha256(normalise(url).encode()).hexdigest()


def test_the_shipped_warning_list_can_be_read_and_has_each_entry_once() -> None:
    names = [(entry.kind, entry.form) for entry in shipped()]
    assert len(names) > 500
    assert len(names) == len(set(names))


def test_an_own_list_says_what_is_common_here(tmp_path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("# ours\nkind,value,label\niban,GB82 WEST 1234 5698 7654 32,payout service\n")
    digester = Digester({"k1": OLD}, "k1", list(read(path)))
    leads = digester.leads(with_identifiers(of("iban", "GB82WEST12345698765432")))
    assert list(leads.common.values()) == ["payout service"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no columns"),
        ("a,b\n", "no columns"),
        ("kind,value,label\niban,nonsense,x\n", "own.csv:2:1: the value is no `iban`"),
        ("kind,value,label\niban,x\n", "own.csv:2:1: the line has not the columns"),
        ("kind,value,label\nip,::/0,x\n", "takes more than 256"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        list(read(path))
