"""Find, load and validate plugins. Whatever is wrong stops the start, with the culprit's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from paycordon import hookspecs
from paycordon.checks.base import Check, CheckSettings
from paycordon.config import Config
from paycordon.demonstration import Demonstration
from paycordon.errors import ConfigError, PluginError
from paycordon.exchange.contract import Here, Recipient
from paycordon.exchange.inquiry import Inquiry
from paycordon.exchange.sharing import Exchange
from paycordon.feeds.contract import Feed, Surroundings
from paycordon.gateways import Gateway, GatewaySettings
from paycordon.hookspecs import PROJECT
from paycordon.isolation import CheckCall
from paycordon.simulators import Simulator

_K = TypeVar("_K")
SCREEN_HOOKS = {"merchant": "screen_merchant", "payout": "screen_payout", "dispute": "screen_dispute"}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin as it is installed: entry point name, distribution and version."""

    name: str
    distribution: str
    version: str


class Plugins:
    """All that plugins bring: checks, instantiated with their settings, and gateway adapters, as classes.

    Args:
        modules: plugin modules (or objects with hook implementations) by name.
        check_settings: for each check id, its settings; a check that is not named gets its defaults.

    Raises:
        PluginError: a hook is misspelt, takes an unknown argument, or two checks or adapters share a name.
        ConfigError: settings are given for a check that does not exist.
    """

    def __init__(
        self,
        modules: Mapping[str, object],
        check_settings: Mapping[str, CheckSettings] | None = None,
        installed: Sequence[InstalledPlugin] = (),
    ) -> None:
        self.installed = tuple(installed)
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for name in sorted(modules):
            self._register(modules[name], name, "plugin")
        given = dict(check_settings or {})
        self.checks: dict[str, Check[Any]] = {}
        for kind in self.check_types().values():
            self._add_check(kind, given.pop(kind.id, None))
        if given:
            known = ", ".join(f"`{check}`" for check in self.checks)
            raise ConfigError(f"there is no check `{min(given)}`", hint=f"installed checks: {known}")
        self.gateways: dict[str, type[Gateway[Any]]] = self._named("register_gateways", "name", "adapter")
        self.feeds: dict[str, type[Feed[Any]]] = self._named("register_feeds", "format", "format of feeds")
        self.recipients: dict[str, type[Recipient[Any]]] = self._named(
            "register_recipients", "format", "format of recipients"
        )
        self.inquiries: dict[str, type[Inquiry[Any]]] = self._named(
            "register_inquiries", "format", "format of inquiries"
        )
        self._require_known_hooks()
        self.notifiers: dict[str, Callable[..., object]] = {
            i.plugin_name: i.function for i in self._manager.hook.notify.get_hookimpls()
        }
        self._calls = {stage: self._calls_of(hook) for stage, hook in SCREEN_HOOKS.items()}

    def calls(self, stage: str) -> Sequence[CheckCall]:
        """Return the checks that screen events of a stage, in the order of their ids."""
        return self._calls.get(stage, ())

    def check_types(self) -> dict[str, type[Check[Any]]]:
        """Return the check classes by id, in order; two of one id are an error."""
        found: dict[str, type[Check[Any]]] = {}
        for plugin, kind in self._registered("register_checks"):
            if not (isinstance(kind, type) and issubclass(kind, Check)):
                raise PluginError(f"{plugin} registers `{kind!r}`, which is not a check class")
            if kind.id in found:
                raise PluginError(f"{plugin} registers a second check `{kind.id}`")
            found[kind.id] = kind
        return dict(sorted(found.items()))

    def demonstrations(self) -> dict[str, type[Demonstration]]:
        """Return what can be shown offline, by adapter name."""
        return {kind.adapter: kind for _, kind in self._registered("register_demonstrations")}

    def simulators(self) -> dict[str, type[Simulator]]:
        """Return the simulators by name, in order; two of one name are an error."""
        return self._named("register_simulators", "name", "simulator")

    def _registered(self, hook: str) -> Iterable[tuple[str, Any]]:
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                yield from ((implementation.plugin_name, item) for item in implementation.function())
            except PluginError:
                raise
            except Exception as error:
                message = f"{implementation.plugin_name} failed in `{hook}`: {type(error).__name__}: {error}"
                raise PluginError(message) from error

    def _add_check(self, kind: type[Check[Any]], settings: CheckSettings | None) -> None:
        check = kind(settings if settings is not None else kind.settings_type())
        self._register(check, kind.id, "check")  # a plugin may well be named like its only check
        self.checks[kind.id] = check

    def _register(self, plugin: object, name: str, what: str) -> None:
        try:
            self._manager.register(plugin, f"{what} `{name}`")
            self._require_known_hooks()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"{what} `{name}` cannot be used: {_one_line(error)}") from error

    def _require_known_hooks(self) -> None:
        self._manager.check_pending()

    def _named(self, hook: str, attribute: str, what: str) -> dict[str, Any]:
        """Return the classes that plugins register by a hook, by name, in order; two of one name are an error."""
        found: dict[str, Any] = {}
        for plugin, kind in self._registered(hook):
            name = getattr(kind, attribute)
            if name in found:
                raise PluginError(f"{plugin} registers a second {what} `{name}`")
            found[name] = kind
        return dict(sorted(found.items()))

    def _calls_of(self, hook: str) -> tuple[CheckCall, ...]:
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        calls = [
            CheckCall(i.plugin, i.function, tuple(i.argnames)) for i in implementations if isinstance(i.plugin, Check)
        ]
        strangers = [i.plugin_name for i in implementations if not isinstance(i.plugin, Check)]
        if strangers:
            raise PluginError(
                f"{strangers[0]} implements `{hook}` itself", hint="register a check with `register_checks`"
            )
        return tuple(sorted(calls, key=lambda call: call.check.id))


def load_all() -> Plugins:
    """Load every installed plugin with default settings, as `paycordon plugins` and `paycordon demo` do.

    Raises:
        PluginError: a plugin cannot be imported or is misspelt.
    """
    points = _entry_points()
    modules = {name: _import(point) for name, point in points.items()}
    return Plugins(modules, installed=[_described(point) for point in points.values()])


def load(config: Config) -> Plugins:
    """Load every installed plugin and give each check its settings from the configuration.

    Raises:
        PluginError: a plugin cannot be imported, is misspelt, or one of `required:` is not installed.
        ConfigError: settings of a check do not fit it.
    """
    points = _entry_points()
    for name in config.required:
        if name not in points:
            raise PluginError(
                f"the required plugin `{name}` is not installed",
                position=config.position("required"),
                hint=f"pip install paycordon-{name}",
            )
    modules = {name: _import(point) for name, point in points.items()}
    installed = [_described(point) for point in points.values()]
    unset = Plugins(modules)
    unknown = [check for check in config.checks if check not in unset.checks]
    if unknown:
        known = ", ".join(f"`{check}`" for check in unset.checks)
        raise ConfigError(
            f"there is no check `{unknown[0]}`",
            position=config.position("checks", unknown[0]),
            hint=f"installed checks: {known}",
        )
    types = unset.check_types()
    settings = {check: config.validated(types[check].settings_type, "checks", check) for check in config.checks}
    return Plugins(modules, settings, installed)


def open_gateways(config: Config, plugins: Plugins) -> dict[str, Gateway[Any]]:
    """Make a gateway of each configured instance.

    Raises:
        ConfigError: an adapter is not installed, or its settings do not fit it.
    """
    opened: dict[str, Gateway[Any]] = {}
    for instance, raw in config.gateways.items():
        adapter = str(raw.get("adapter", ""))
        kind = plugins.gateways.get(adapter)
        if kind is None:
            known = ", ".join(f"`{name}`" for name in plugins.gateways) or "none"
            raise ConfigError(
                f"there is no adapter `{adapter}`",
                position=config.position("gateways", instance),
                hint=f"installed adapters: {known}; pip install paycordon-{adapter or 'stripe'}",
            )
        settings: GatewaySettings = config.validated(kind.settings_type, "gateways", instance)
        opened[instance] = kind(instance, settings)
    return opened


def open_feeds(config: Config, plugins: Plugins) -> dict[str, Feed[Any]]:
    """Make a feed of each that is configured.

    Raises:
        ConfigError: a format is not installed, or its settings do not fit it.
    """
    digesters = [config.digester()] if config.feeds else []

    def make(kind: type[Feed[Any]], name: str, settings: Any) -> Feed[Any]:
        return kind(settings, Surroundings(name, digesters[0], config.base, _now))

    return open_formats(config, "feeds", plugins.feeds, make)


def open_recipients(
    config: Config, plugins: Plugins, clock: Callable[[], datetime] = _now
) -> dict[str, Recipient[Any]]:
    """Make a recipient of each that is configured.

    Raises:
        ConfigError: a format is not installed, or its settings do not fit it.
    """
    digesters = [config.digester()] if config.exchange else []
    for digester in digesters:
        digester.prepare()  # not within a transaction, which screenings would wait for

    def make(kind: type[Recipient[Any]], name: str, settings: Any) -> Recipient[Any]:
        if settings.listing_clock is not None and settings.listing_clock not in config.clocks.legal:
            raise ConfigError(
                f"there is no clock `{settings.listing_clock}` among `clocks.legal`",
                position=config.position("exchange", name, "listing_clock"),
                hint="add it there, so that it runs",
            )
        return kind(settings, Here(name, digesters[0], config.base, clock))

    return open_formats(config, "exchange", plugins.recipients, make, what="recipients")


def open_inquiries(config: Config, plugins: Plugins, clock: Callable[[], datetime] = _now) -> dict[str, Inquiry[Any]]:
    """Make an inquiry of each list that is configured.

    Raises:
        ConfigError: a format is not installed, or its settings do not fit it.
    """
    digesters = [config.digester()] if config.inquiries else []

    def make(kind: type[Inquiry[Any]], name: str, settings: Any) -> Inquiry[Any]:
        return kind(settings, Here(name, digesters[0], config.base, clock))

    return open_formats(config, "inquiries", plugins.inquiries, make)


def open_formats(
    config: Config,
    section: str,
    kinds: Mapping[str, type[_K]],
    make: Callable[[type[_K], str, Any], _K],
    *,
    what: str | None = None,
) -> dict[str, _K]:
    """Make one of each name in a section of the configuration whose `format` says which class it is.

    Args:
        config: the configuration.
        section: the section's name.
        kinds: the installed classes, by format.
        make: makes one, given its class, its name and its settings.
        what: what errors call them, in the plural; the section's name by default.

    Raises:
        ConfigError: a format is not installed, its settings do not fit it, or `make` raises it; says where that is.
    """
    opened: dict[str, _K] = {}
    for name, raw in getattr(config, section).items():
        kind: Any = kinds.get(str(raw.get("format", "")))
        if kind is None:
            known = ", ".join(f"`{each}`" for each in kinds) or "none"
            raise ConfigError(
                f"there is no format of {what or section} `{raw.get('format', '')}`",
                position=config.position(section, name),
                hint=f"installed formats: {known}",
            )
        settings = config.validated(kind.settings_type, section, name)
        try:
            opened[name] = make(kind, name, settings)
        except ConfigError as error:
            position = error.position or config.position(section, name)
            raise ConfigError(error.message, position=position, hint=error.hint) from None
    return opened


def open_exchange(config: Config, plugins: Plugins, clock: Callable[[], datetime] = _now) -> Exchange:
    """Make all recipients that are configured.

    Raises:
        ConfigError: as `open_recipients`.
    """
    own = frozenset(name for name, source in config.sources.items() if source.own)
    return Exchange(open_recipients(config, plugins, clock), own)


def _entry_points() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=PROJECT):
        if point.name in found and found[point.name].value != point.value:
            raise PluginError(f"two distributions bring a plugin named `{point.name}`")
        found[point.name] = point
    return dict(sorted(found.items()))


def _import(point: EntryPoint) -> object:
    try:
        return point.load()
    except Exception as error:
        raise PluginError(
            f"plugin `{point.name}` ({point.value}) cannot be loaded: {type(error).__name__}: {error}",
            hint="reinstall or uninstall it",
        ) from error


def _described(point: EntryPoint) -> InstalledPlugin:
    distribution = point.dist
    return InstalledPlugin(
        name=point.name,
        distribution=distribution.name if distribution else point.value,
        version=distribution.version if distribution else "",
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
