"""Events over the API of the simulator: snapshots, thin ones, for as long as Stripe keeps them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

OTHER_DAYS = timedelta(days=30, seconds=1)


def test_an_event_says_what_changed_and_which_request_it_was(client, simulator, account, of):
    options = {"idempotency_key": "own-key"}
    client.v1.accounts.update(account, {"email": "new@shop.example"}, options)

    found = client.v1.events.list({"limit": 1}, of).data[0]
    assert (found.type, found.account, found.api_version) == ("account.updated", account, "2026-10-28.endive")
    assert found.data.previous_attributes.to_dict() == {"email": None}
    assert found.request.idempotency_key == "own-key"
    assert found.request.id.startswith("req_")


def test_what_happens_by_itself_names_no_request(client, simulator, account, of):
    simulator.advance(timedelta(days=1))

    assert client.v1.events.list({"type": "payout.created"}, of).data[0].request.id is None


def test_an_event_keeps_the_object_as_it_was(client, simulator, account, of):
    client.v1.accounts.update(account, {"email": "first@shop.example"})
    client.v1.accounts.update(account, {"email": "second@shop.example"})

    emails = [each.data.object["email"] for each in client.v1.events.list({}, of).data[:2]]
    assert emails == ["second@shop.example", "first@shop.example"]


def test_a_request_that_changes_nothing_makes_no_event(client, simulator, account, of):
    before = simulator.events(account)
    client.v1.accounts.update(account, {"metadata": {}})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.create({"amount": 10**9, "currency": "usd"}, of)

    assert simulator.events(account) == before


def test_events_are_filtered_by_type_and_time(client, simulator, account, of, clock):
    simulator.charge(account, 100)
    later = clock.advance(timedelta(hours=1)) or clock()
    simulator.open_dispute(account, simulator.charge(account, 100))

    def listed(**params):
        return [each.type for each in client.v1.events.list(params, of).data]

    since = {"gte": int(later.timestamp())}
    assert listed(type="charge.dispute.*") == ["charge.dispute.funds_withdrawn", "charge.dispute.created"]
    assert listed(types=["charge.succeeded"]) == ["charge.succeeded", "charge.succeeded"]
    assert listed(types=["charge.succeeded"], created=since) == ["charge.succeeded"]
    with pytest.raises(stripe.InvalidRequestError):
        listed(types=["a"] * 21)


def test_events_can_be_read_for_thirty_days(client, simulator, account, of):
    simulator.charge(account, 100)
    event = client.v1.events.list({"type": "charge.succeeded"}, of).data[0].id
    simulator.advance(OTHER_DAYS)

    assert "charge.succeeded" not in [each.type for each in client.v1.events.list({"limit": 100}, of).data]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(event, {}, of)


def test_an_event_of_a_connected_account_is_not_the_platforms(client, simulator, account, of):
    event = client.v1.events.list({"limit": 1}, of).data[0].id

    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        client.v1.events.retrieve(event)


def test_after_the_access_was_ended_nothing_of_the_account_can_be_read(client, simulator, account, of):
    event = client.v1.events.list({"limit": 1}, of).data[0].id
    simulator.deauthorize(account)

    with pytest.raises(stripe.PermissionError):
        client.v1.events.retrieve(event, {}, of)


def test_a_thin_event_leads_to_its_object_and_its_twin(client, simulator, account, of):
    simulator.charge(account, 100)
    twin = client.v1.events.list({"type": "charge.succeeded"}, of).data[0]
    thin = next(each for each in client.v2.core.events.list({"types": ["v1.charge.succeeded"]}).data)

    raw = client.raw_request("get", f"/v2/core/events/{thin.id}").data
    assert (raw["context"], raw["snapshot_event"]) == (account, twin.id)
    assert raw["related_object"]["url"] == f"/v1/charges/{twin.data.object['id']}"


def test_undelivered_events_can_be_told_from_delivered_ones(client, simulator, account, of, httpserver):
    httpserver.expect_request("/hook", method="POST").respond_with_data(status=200)
    endpoint = simulator.add_webhook(httpserver.url_for("/hook"), dropped=1.0)
    missed = simulator.charge(account, 100)
    simulator.remove_webhook(endpoint)
    simulator.add_webhook(httpserver.url_for("/hook"))
    other = simulator.charge(account, 100)
    assert simulator.settle()

    def charges(success):
        params = {"types": ["charge.succeeded"], "delivery_success": success}
        return [(each.data.object["id"], each.pending_webhooks) for each in client.v1.events.list(params, of).data]

    assert (charges(True), charges(False)) == ([(other, 0)], [(missed, 1)]), "also when the endpoint is gone"
    simulator.add_webhook(httpserver.url_for("/hook"), dropped=1.0)
    third = simulator.charge(account, 100)
    assert simulator.settle()
    assert charges(False) == [(third, 1), (missed, 1)]


def test_what_people_and_banks_do_names_no_request_either(client, simulator, account, of):
    client.v1.accounts.update(account, {"email": "new@shop.example"})
    simulator.charge(account, 100)

    newest = client.v1.events.list({"limit": 1}, of).data[0]
    assert (newest.type, newest.request.id) == ("charge.succeeded", None)
