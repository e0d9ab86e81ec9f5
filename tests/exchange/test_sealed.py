"""What is plain in a message is sealed while it waits: under a key that may rotate, and for its own place only."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.sealing import Sealer, key_of
from paycordon.errors import Refused
from paycordon.record.verify import verify
from paycordon.store import messages, schema
from paycordon.store.contributed import State
from paycordon.store.contributions import requeue
from paycordon.store.keyuse import Advice, key_uses
from paycordon.store.messages import MessageState

from .conftest import MAIL, Office

K1, K2 = bytes(range(32)), b"n" * 32


def test_words_open_under_their_key_and_at_their_place_only() -> None:
    sealer = Sealer({"k2": K2, "k.1": K1}, "k.1")
    sealed = sealer.seal("owner@shop.example", "ctr_1/1")
    assert key_of(sealed) == "k.1"
    assert "owner" not in sealed
    assert sealed != sealer.seal("owner@shop.example", "ctr_1/1"), "the same words twice are not to be told apart"
    assert sealer.unseal(sealed, "ctr_1/1") == "owner@shop.example"
    changed = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for text, keys, place in (
        (sealed, {"k2": K2}, "ctr_1/1"),
        (sealed, {"k.1": K2}, "ctr_1/1"),
        (sealed, {"k.1": K1}, "ctr_2/1"),
        (changed, {"k.1": K1}, "ctr_1/1"),
        (sealed[:-9], {"k.1": K1}, "ctr_1/1"),
        ("sealed:k.1:", {"k.1": K1}, "ctr_1/1"),
        (sealed.replace("k.1", "k2"), {"k2": K1}, "ctr_1/1"),
    ):
        with pytest.raises(Refused, match="identifier key"):
            Sealer(keys, next(iter(keys))).unseal(text, place)


def rotate(office: Office, keys: dict[str, bytes], current: str) -> None:
    office.digester = Digester(keys, current)
    heard = office.keeper.heard
    office.listen().heard = heard


def uses(office: Office, current: str = "k2") -> dict[str, tuple[int, Advice]]:
    with office.store.read() as connection:
        found = key_uses(connection, ["k1", "k2"], current, office.clock(), office.clock() - office.clock())
    return {each.key: (each.sealed, each.advice) for each in found}


def test_a_new_key_changes_nothing_for_what_waits_and_a_key_that_is_gone_is_put_before_a_person(
    small_office: Office,
) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    id_ = made.message.contribution or ""
    rotate(office, {"k2": K2, "k1": K1}, "k2")
    assert uses(office)["k1"] == (1, Advice.NEEDED)
    office.agree(made.proposal.id)

    rotate(office, {"k2": K2}, "k2")  # too early
    office.work()
    assert (office.keeper.heard, office.contribution(id_).state) == ({}, State.STUCK)
    assert not office.contribution(id_).doubtful, "nothing has left"
    assert verify(office.store).ok, "which needs no key"

    rotate(office, {"k2": K2, "k1": K1}, "k2")
    with office.store.write() as connection:
        (stuck,) = messages.listed(connection, states=[MessageState.STUCK])
        assert "add it to `identifier_keys.keys` again" in (stuck.last_error or "")
        requeue(connection, stuck.id, by="ana", reason="the key is there again", now=office.clock())
    office.work()
    (heard,) = office.keeper.heard.values()
    assert heard.content is not None
    assert [item.value for item in heard.content.items] == [MAIL]
    assert uses(office)["k1"][0] == 0
    assert verify(office.store).ok


def test_words_that_were_changed_or_moved_in_the_database_do_not_leave_and_are_found(small_office: Office) -> None:
    office = small_office
    office.payout()
    first, second = office.draft(), office.draft(kind="sighting")
    table = schema.messages
    with office.store.write() as connection:
        other = connection.execute(select(table.c.body).where(table.c.id == second.message.id)).scalar()
        connection.execute(table.update().where(table.c.id == first.message.id).values(body=other))
    with pytest.raises(Refused, match="not what was sealed"):
        office.agree(first.proposal.id)
    assert [each.record for each in verify(office.store).problems] == [first.message.id]


def test_what_an_earlier_version_stored_unsealed_still_leaves(small_office: Office) -> None:
    office = small_office
    office.payout()
    made = office.draft()
    words = json.dumps({"content": office_content(office, made.message), "seen": [True]})
    table = schema.messages
    with office.store.write() as connection:
        connection.execute(table.update().where(table.c.id == made.message.id).values(body=words))
    office.agree(made.proposal.id)
    office.work()
    assert len(office.keeper.heard) == 1


def office_content(office: Office, message: messages.Message) -> object:
    words = message.words(office.digester)
    assert words is not None
    return words.content.model_dump(mode="json", exclude_defaults=True)
