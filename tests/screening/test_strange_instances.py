"""A name that no configured gateway has: whatever is held there, no worker enforces, so it is refused or said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from paycordon.adapting.guarding import Call, Checkpoint
from paycordon.admission import Instances
from paycordon.decisions import Outcome
from paycordon.errors import ConfigError
from paycordon.events import Event
from paycordon.screening import Cordon
from paycordon.store import Store
from paycordon.testing import make_event


@pytest.fixture
def cordon(sqlite_store: Store, make_cordon: Callable[[Store], Cordon]) -> Cordon:
    made = make_cordon(sqlite_store)
    made._instances = Instances({"acme", "acme_us"})
    return made


def asked(instance: str) -> Event:
    return make_event("payout.requested", instance=instance)


def test_a_guard_under_a_wrong_name_lets_no_call_through(cordon: Cordon) -> None:
    call = Call("payouts.create", "acct_1", {}, None)
    Checkpoint(cordon, lambda _: asked("acme")).passes(call)
    wrong = Checkpoint(cordon, lambda _: asked("acme_eu"))
    with pytest.raises(ConfigError, match=r"no instance `acme_eu` is configured .*`acme`, `acme_us`"):
        wrong.passes(call)
    with pytest.raises(ConfigError):
        asyncio.run(wrong.passes_async(call))


def test_the_engine_judges_it_and_says_so_once(cordon: Cordon, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "paycordon"):
        for number in range(3):
            event = asked("acme_eu").model_copy(update={"id": f"e_{number}"})
            assert cordon.screen(event).outcome is Outcome.ALLOW
        assert cordon.screen(asked("acme")).outcome is Outcome.ALLOW
    assert [record.getMessage() for record in caplog.records] == [
        "events of `acme_eu` come in, which is not among `gateways`: holds are not enforced there"
    ]


def test_an_engine_of_a_configuration_knows_its_instances(tmp_path) -> None:
    from paycordon.deployment import create

    create(tmp_path)
    path = tmp_path / "paycordon.yaml"
    wanted = "gateways: {stripe_eu: {adapter: stripe, mode: test, api_key: 'env:K', webhook_secrets: ['env:K']}}"
    path.write_text(path.read_text().replace("gateways: {}", wanted))
    made = Cordon.from_config(path, {"K": "sk_test_synthetic"})
    try:
        assert made.instances == {"stripe_eu"}
    finally:
        made.close()
