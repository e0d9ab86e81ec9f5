"""Whatever is wrong with a plugin stops the start, and the message names the culprit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from paycordon import checks as builtin_checks
from paycordon.checks.base import Check, CheckSettings
from paycordon.config import load_config
from paycordon.decisions import Finding
from paycordon.deployment import create
from paycordon.errors import ConfigError, PluginError
from paycordon.hookspecs import hookimpl
from paycordon.plugins import Plugins, load, open_gateways

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution of one module, as an installer would leave it, for this test only."""

    def make(name: str, source: str) -> None:
        site = tmp_path / f"site-{name}"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}_module.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[paycordon]\n{name} = {name}_module\n")
        monkeypatch.syspath_prepend(str(site))

    return make


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], Any]:
    """Load the configuration that `init` writes, with more lines."""

    def make(more: str = "") -> Any:
        create(tmp_path / "deployment")
        path = tmp_path / "deployment" / "paycordon.yaml"
        kept = [line for line in path.read_text().splitlines() if not line.startswith(("checks:", "gateways:"))]
        path.write_text("\n".join([*kept, more, ""]))
        return load_config(path, os.environ)

    return make


def test_installed_plugins_are_listed_with_their_versions(configured: Any) -> None:
    plugins = load(configured())
    assert {"checks", "stripe"} <= {plugin.name for plugin in plugins.installed}
    assert all(plugin.version for plugin in plugins.installed)


def test_a_plugin_that_cannot_be_imported_stops_the_start(configured: Any, install: Install) -> None:
    install("broken", "import a_module_that_is_not_there\n")
    with pytest.raises(PluginError, match=r"plugin `broken` \(broken_module\) cannot be loaded: ModuleNotFoundError"):
        load(configured())


def test_a_misspelt_hook_of_an_installed_plugin_stops_the_start(configured: Any, install: Install) -> None:
    install("typo", "from paycordon import hookimpl\n@hookimpl\ndef register_chekcs():\n    return []\n")
    with pytest.raises(PluginError, match=r"`typo` cannot be used: .*register_chekcs"):
        load(configured())


def test_a_registration_that_raises_stops_the_start(configured: Any, install: Install) -> None:
    install("raising", "from paycordon import hookimpl\n@hookimpl\ndef register_checks():\n    raise OSError('x')\n")
    with pytest.raises(PluginError, match="plugin `raising` failed in `register_checks`: OSError"):
        load(configured())


def test_a_required_plugin_that_is_not_installed_stops_the_start(configured: Any) -> None:
    with pytest.raises(PluginError, match=r"paycordon.yaml:\d+:\d+: the required plugin `acme` is not installed"):
        load(configured("required: [checks, acme]"))


def test_settings_of_a_check_that_does_not_exist_are_refused_with_their_place(configured: Any) -> None:
    with pytest.raises(ConfigError, match=r"paycordon.yaml:\d+:\d+: there is no check `payout_velosity`"):
        load(configured("checks:\n  payout_velosity: {max_count: 3}"))


def test_settings_that_do_not_fit_are_refused_with_their_place(configured: Any) -> None:
    with pytest.raises(ConfigError, match=r"paycordon.yaml:\d+:\d+: .*max_count"):
        load(configured("checks:\n  payout_velocity: {max_count: many}"))


def test_settings_reach_their_check(configured: Any) -> None:
    plugins = load(configured("checks:\n  payout_velocity: {max_count: 3}"))
    assert plugins.checks["payout_velocity"].settings.max_count == 3
    assert plugins.checks["dispute_ratio"].settings.min_disputes == 5


def test_an_adapter_that_is_not_installed_is_refused_with_its_place(configured: Any) -> None:
    config = configured("gateways:\n  main: {adapter: acme, mode: test}")
    with pytest.raises(ConfigError, match=r"paycordon.yaml:\d+:\d+: there is no adapter `acme`"):
        open_gateways(config, load(config))


class Quiet(Check[CheckSettings]):
    """Finds nothing."""

    id = "quiet"
    emits = {"quiet.found": "never"}

    @hookimpl
    def screen_payout(self) -> Iterable[Finding]:
        return ()


class Bringing:
    def __init__(self, *kinds: Any) -> None:
        self.kinds = kinds

    @hookimpl
    def register_checks(self) -> Iterable[type[Check[Any]]]:
        return self.kinds


def test_two_checks_of_one_id_stop_the_start() -> None:
    with pytest.raises(PluginError, match="registers a second check `quiet`"):
        Plugins({"a": Bringing(Quiet), "b": Bringing(Quiet)})


def test_what_is_not_a_check_class_stops_the_start() -> None:
    with pytest.raises(PluginError, match=r"plugin `a` registers .*, which is not a check class"):
        Plugins({"a": Bringing(Quiet(CheckSettings()))})


def test_a_plugin_may_be_named_like_its_check() -> None:
    assert list(Plugins({"quiet": Bringing(Quiet)}).checks) == ["quiet"]


def test_checks_run_in_the_order_of_their_ids_whatever_brings_them() -> None:
    plugins = Plugins({"zzz": builtin_checks, "aaa": Bringing(Quiet)})
    ids = [call.check.id for call in plugins.calls("payout")]
    assert ids == sorted(ids)
    assert "quiet" in ids
