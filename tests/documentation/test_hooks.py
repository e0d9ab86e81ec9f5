"""Every hook is documented, and works when a plugin implements it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import pytest

from paycordon import (
    Check,
    CheckSettings,
    Context,
    Cordon,
    Event,
    Finding,
    Gateway,
    GatewaySettings,
    Outcome,
    hookimpl,
    hookspecs,
)
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes
from paycordon.config import load_config
from paycordon.demonstration import Demonstration, ShownDelivery
from paycordon.deployment import create
from paycordon.errors import ConfigError, PluginError
from paycordon.events import Identifier, Subject
from paycordon.exchange.contract import ContributionKind, Outgoing, Party, Receipt, Recipient, RecipientSettings, Verb
from paycordon.exchange.inquiry import Answer, Inquiry, InquirySettings
from paycordon.feeds.contract import Budget, Feed, FeedSettings
from paycordon.gateways import Applied, Change, Delivery, GatewayState, Message, Restriction, Support
from paycordon.outward.notifying import Following, Telling, channel_of_plugin
from paycordon.plugins import Plugins, open_feeds, open_gateways, open_inquiries, open_recipients
from paycordon.policy import load_policies
from paycordon.screening import Limits
from paycordon.simulators import Described, Simulator, SimulatorOptions
from paycordon.store import Store
from paycordon.testing import FrozenClock, make_event

PAGE = (Path(__file__).parents[2] / "plugins" / "README.md").read_text(encoding="utf-8")
HOOKS = {
    name: function
    for name, function in vars(hookspecs).items()
    if inspect.isfunction(function) and hasattr(function, f"{hookspecs.PROJECT}_spec")
}
POLICY = """
policy: probes
version: 1
on_error: review
rules:
  - id: probed
    on: [merchant.onboarding, payout.requested, dispute.opened]
    when: findings.exists(f, f.code == "probe.seen")
    then: hold
    merchant_reason: additional_information_required
"""


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_on_the_page_with_its_arguments(name: str) -> None:
    arguments = ", ".join(inspect.signature(HOOKS[name]).parameters)

    assert f"| `{name}({arguments})` |" in PAGE


def test_the_page_names_no_hook_that_does_not_exist() -> None:
    named = set(re.findall(r"`((?:register_|screen_|notify)\w*)\(", PAGE))

    assert named == set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_has_its_test_below(name: str) -> None:
    assert f"test_hook_{name}" in globals()


@pytest.fixture
def screened(tmp_path: Path, sqlite_store: Store, clock: FrozenClock, digester: Digester) -> Any:
    """Screens an event with the one check given."""
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    cordons = []

    def screen(kind: type[Check[Any]], event: Event) -> Any:
        plugins = Plugins({"probes": bringing(register_checks=[kind])})
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=20))
        policies = load_policies([tmp_path / "policy.yaml"])
        cordon = Cordon(sqlite_store, policies, plugins, digester, limits=limits, clock=clock)
        cordons.append(cordon)
        return cordon.screen(event)

    yield screen
    for cordon in cordons:
        cordon.close()


def bringing(**hooks: Any) -> object:
    """A plugin whose hooks return what is given."""

    def implementation(name: str, value: Any) -> Any:
        def implement() -> Any:
            return value

        implement.__name__ = name
        return hookimpl(implement)

    return SimpleNamespace(**{name: implementation(name, value) for name, value in hooks.items()})


def finding(evidence: Mapping[str, Any] | None = None) -> Finding:
    return Finding(check="probe", code="probe.seen", evidence=dict(evidence or {}))


class Probe(Check[CheckSettings]):
    """Reports what it is asked to look at."""

    id: ClassVar[str] = "probe"
    emits: ClassVar[Mapping[str, str]] = {"probe.seen": "was asked"}


class MerchantProbe(Probe):
    """Looks at merchants."""

    @hookimpl
    def screen_merchant(self, event: Event, context: Context) -> Iterable[Finding]:
        return [finding({"type": str(event.type), "merchant": context.merchant})]


class PayoutProbe(Probe):
    """Looks at payouts."""

    @hookimpl
    def screen_payout(self, event: Event) -> Iterable[Finding]:
        yield finding({"type": str(event.type)})


class DisputeProbe(Probe):
    """Looks at disputes."""

    @hookimpl
    def screen_dispute(self, context: Context) -> Iterable[Finding]:
        return (finding({"merchant": context.merchant}),)


def test_hook_register_checks() -> None:
    plugins = Plugins({"probes": bringing(register_checks=[MerchantProbe])})

    assert {name: type(check) for name, check in plugins.checks.items()} == {"probe": MerchantProbe}
    assert [call.check.id for call in plugins.calls("merchant")] == ["probe"]
    assert plugins.calls("payout") == ()
    with pytest.raises(PluginError, match="plugin `twice` registers a second check `probe`"):
        Plugins({"twice": bringing(register_checks=[MerchantProbe, PayoutProbe])})
    with pytest.raises(PluginError, match="which is not a check class"):
        Plugins({"probes": bringing(register_checks=[MerchantProbe(CheckSettings())])})


def test_hook_screen_merchant(screened: Any) -> None:
    decision = screened(MerchantProbe, make_event("merchant.onboarding"))

    assert decision.findings == (finding({"type": "merchant.onboarding", "merchant": "m_1"}),)
    assert decision.outcome is Outcome.HOLD
    assert decision.errors == ()


def test_hook_screen_payout(screened: Any) -> None:
    decision = screened(PayoutProbe, make_event("payout.requested"))

    assert decision.findings == (finding({"type": "payout.requested"}),)
    assert screened(PayoutProbe, make_event("dispute.opened", account={"id": "a"}, merchant={})).findings == ()


def test_hook_screen_dispute(screened: Any) -> None:
    assert screened(DisputeProbe, make_event("dispute.opened")).findings == (finding({"merchant": "m_1"}),)


class StandInGateway(Gateway[GatewaySettings]):
    """The least that is an adapter."""

    name: ClassVar[str] = "stand_in"
    settings_type: ClassVar[type[GatewaySettings]] = GatewaySettings
    capabilities: ClassVar[Mapping[Restriction, Support]] = {}

    def verify(self, delivery: Delivery, now: datetime) -> Sequence[Message]:
        return []

    def translate(self, message: Message) -> Iterable[Event]:
        return []

    def resolve(self, event: Event) -> Event:
        return event

    def read(self, subject: Subject) -> GatewayState:
        return GatewayState(Restriction.NONE, {})

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        return Applied(GatewayState(change.to, {}))


def test_hook_register_gateways(tmp_path: Path) -> None:
    create(tmp_path)
    path = tmp_path / "paycordon.yaml"
    configured = path.read_text(encoding="utf-8").replace(
        "gateways: {}", "gateways:\n  first: {adapter: stand_in, mode: test}"
    )
    path.write_text(configured, encoding="utf-8")
    plugins = Plugins({"stand_ins": bringing(register_gateways=[StandInGateway])})

    (gateway,) = open_gateways(load_config(path, {}), plugins).values()

    assert isinstance(gateway, StandInGateway)
    assert (gateway.instance, gateway.settings.mode) == ("first", "test")
    with pytest.raises(PluginError, match="plugin `twice` registers a second adapter `stand_in`"):
        Plugins({"twice": bringing(register_gateways=[StandInGateway, StandInGateway])})


class StandInDemonstration(Demonstration):
    """Nothing to be shown."""

    adapter: ClassVar[str] = "stand_in"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def settings(self) -> Mapping[str, str | list[str]]:
        return {}

    def indicators(self) -> Sequence[Identifier]:
        return []

    def deliveries(self, now: datetime) -> Sequence[ShownDelivery]:
        return []

    def at_gateway(self, account: str) -> str:
        return ""


def test_hook_register_demonstrations() -> None:
    plugins = Plugins({"stand_ins": bringing(register_demonstrations=[StandInDemonstration])})

    assert plugins.demonstrations() == {"stand_in": StandInDemonstration}


class StandInSimulator(Simulator):
    """Simulates nothing."""

    name: ClassVar[str] = "stand_in"
    about: ClassVar[str] = "nothing"

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options

    def start(self) -> Described:
        return Described("http://127.0.0.1:1", "http://127.0.0.1:1/control", ())

    def stop(self) -> None:
        pass


def test_hook_register_simulators() -> None:
    plugins = Plugins({"stand_ins": bringing(register_simulators=[StandInSimulator])})

    assert plugins.simulators() == {"stand_in": StandInSimulator}
    twice = Plugins({"twice": bringing(register_simulators=[StandInSimulator, StandInSimulator])})
    with pytest.raises(PluginError, match="second simulator `stand_in`"):
        twice.simulators()


class StandInFeed(Feed[FeedSettings]):
    """Says nothing."""

    format: ClassVar[str] = "stand_in"
    about: ClassVar[str] = "nothing"
    settings_type: ClassVar[type[FeedSettings]] = FeedSettings

    def fetch(self, checkpoint: str | None, budget: Budget) -> Iterator[Changes]:
        return iter(())


def test_hook_register_feeds(tmp_path: Path) -> None:
    create(tmp_path)
    path = tmp_path / "paycordon.yaml"
    feeds = "feeds:\n  ngo: {format: stand_in, source: list.txt, every: 15m}\n"
    path.write_text(path.read_text(encoding="utf-8") + feeds, encoding="utf-8")
    plugins = Plugins({"stand_ins": bringing(register_feeds=[StandInFeed])})

    (feed,) = open_feeds(load_config(path, {}), plugins).values()

    assert isinstance(feed, StandInFeed)
    assert (feed.surroundings.source, feed.settings.every) == ("ngo", timedelta(minutes=15))
    with pytest.raises(PluginError, match="second format of feeds `stand_in`"):
        Plugins({"twice": bringing(register_feeds=[StandInFeed, StandInFeed])})
    with pytest.raises(ConfigError, match="there is no format of feeds `stand_in`"):
        open_feeds(load_config(path, {}), Plugins({}))


class StandInRecipient(Recipient[RecipientSettings]):
    """Takes everything."""

    format: ClassVar[str] = "stand_in"
    about: ClassVar[str] = "nothing"
    settings_type: ClassVar[type[RecipientSettings]] = RecipientSettings
    verbs: ClassVar[frozenset[Verb]] = frozenset(Verb)
    kinds: ClassVar[frozenset[ContributionKind]] = frozenset(ContributionKind)

    def send(self, message: Outgoing) -> Receipt:
        return Receipt(message.id)


def test_hook_register_recipients(tmp_path: Path) -> None:
    create(tmp_path)
    path = tmp_path / "paycordon.yaml"
    configured = path.read_text(encoding="utf-8")
    path.write_text(f"{configured}exchange:\n  ngo: {{format: stand_in, audience: clients}}\n", encoding="utf-8")
    plugins = Plugins({"stand_ins": bringing(register_recipients=[StandInRecipient])})

    (recipient,) = open_recipients(load_config(path, {}), plugins).values()

    assert isinstance(recipient, StandInRecipient)
    assert (recipient.here.name, recipient.settings.audience) == ("ngo", "clients")
    with pytest.raises(PluginError, match="second format of recipients `stand_in`"):
        Plugins({"twice": bringing(register_recipients=[StandInRecipient, StandInRecipient])})
    with pytest.raises(ConfigError, match="there is no format of recipients `stand_in`"):
        open_recipients(load_config(path, {}), Plugins({}))
    path.write_text(f"{configured}exchange:\n  ngo: {{format: stand_in, listing_clock: visa_listing}}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"there is no clock `visa_listing` among `clocks.legal`"):
        open_recipients(load_config(path, {}), plugins)


class StandInInquiry(Inquiry[InquirySettings]):
    format: ClassVar[str] = "stand_in"
    about: ClassVar[str] = "names nobody"
    settings_type: ClassVar[type[InquirySettings]] = InquirySettings

    def ask(self, party: Party, key: str) -> Answer:
        return Answer(key)

    def later(self, watched: Any) -> Iterator[Answer]:
        yield from ()


def test_hook_register_inquiries(tmp_path: Path) -> None:
    create(tmp_path)
    path = tmp_path / "paycordon.yaml"
    configured = path.read_text(encoding="utf-8")
    path.write_text(f"{configured}inquiries:\n  terminated: {{format: stand_in, keep: 30d}}\n", encoding="utf-8")
    plugins = Plugins({"stand_ins": bringing(register_inquiries=[StandInInquiry])})

    (inquiry,) = open_inquiries(load_config(path, {}), plugins).values()

    assert isinstance(inquiry, StandInInquiry)
    assert (inquiry.here.name, inquiry.settings.keep) == ("terminated", timedelta(days=30))
    with pytest.raises(PluginError, match="second format of inquiries `stand_in`"):
        Plugins({"twice": bringing(register_inquiries=[StandInInquiry, StandInInquiry])})
    with pytest.raises(ConfigError, match="there is no format of inquiries `stand_in`"):
        open_inquiries(load_config(path, {}), Plugins({}))
    path.write_text(f"{path.read_text()}feeds:\n  terminated: {{format: csv, source: list.csv}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is a feed as well"):
        load_config(path, {})


def test_a_misspelt_hook_stops_the_start_and_is_named() -> None:
    with pytest.raises(PluginError, match=r"plugin `probes` cannot be used: .*register_check"):
        Plugins({"probes": bringing(register_check=[MerchantProbe])})


def test_an_argument_that_a_hook_does_not_have_stops_the_start() -> None:
    class Curious(Probe):
        """Asks for too much."""

        @hookimpl
        def screen_payout(self, event: Event, database: Any) -> Iterable[Finding]:
            return []

    with pytest.raises(PluginError, match=r"check `probe` cannot be used: .*database"):
        Plugins({"probes": bringing(register_checks=[Curious])})


def test_a_failing_registration_names_its_plugin() -> None:
    @hookimpl
    def register_checks() -> Iterable[type[Check[Any]]]:
        raise RuntimeError("no licence")

    with pytest.raises(PluginError, match="plugin `probes` failed in `register_checks`: RuntimeError: no licence"):
        Plugins({"probes": SimpleNamespace(register_checks=register_checks)})


def test_hook_notify(screened: Any, sqlite_store: Store, clock: FrozenClock) -> None:
    heard: list[Any] = []

    class Chat:
        @hookimpl
        def notify(self, message: Any) -> None:
            heard.append(message)

    channels = [channel_of_plugin(name, notify) for name, notify in Plugins({"chat": Chat()}).notifiers.items()]
    assert Following(sqlite_store, channels).run_once() is False
    screened(PayoutProbe, make_event("payout.requested"))
    assert Following(sqlite_store, channels).run_once() is True
    Telling(sqlite_store, channels[0], owner="w", clock=clock).run_once()
    assert [message["type"] for message in heard] == ["decision.made", "hold.placed"]
    assert heard[0]["data"]["merchant_reason"] == "additional_information_required"
