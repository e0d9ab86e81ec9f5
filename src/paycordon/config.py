"""The configuration, `paycordon.yaml`: what is connected, which policies judge, where secrets come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    StrictStr,
    WithJsonSchema,
)

from paycordon.coalition import warninglist
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Standards
from paycordon.coalition_sections import IndicatorsSection, NameListSection, ReferralsSection, SourceSection
from paycordon.documents import Document, Problem, error_from, read_document, validate
from paycordon.errors import ConfigError, Position
from paycordon.events import Mode
from paycordon.policy.load import PolicyFiles
from paycordon.secretrefs import Secrets, is_reference, plain_secrets
from paycordon.sections import MIN_KEY_BYTES as MIN_KEY_BYTES
from paycordon.sections import (
    Approvals,
    Clocks,
    DirectivesSection,
    EnforcementSection,
    HubSection,
    IdentifierKeys,
    Name,
    NoticesSection,
    NotificationSection,
    PersonSection,
    RetentionSection,
    ReviewSection,
    Screening,
    Section,
    WithdrawalSection,
)

BINDINGS_FILE = "bindings.yaml"
RATES_FILE = "rates.csv"
MIN_TOKEN_LENGTH = 24
_M = TypeVar("_M", bound=BaseModel)
_Secret = Annotated[StrictStr, Field(repr=False)]
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]*@")
_WITH_REFERENCES = (
    "store",
    "identifier_keys",
    "log_signing_key",
    "api_token",
    "approvals",
    "checks",
    "gateways",
    "notifications",
    "hubs",
    "feeds",
    "exchange",
    "inquiries",
    "referrals",
)
_RELATIVE_SQLITE = re.compile(r"^(sqlite(?:\+\w+)?:///)(?![/:])(.+)$")


class _Instance(Section):
    """The part of a gateway instance that does not depend on its adapter."""

    model_config = ConfigDict(extra="allow")

    adapter: str
    mode: Mode


class Config(Section):
    """A whole configuration with its references resolved.

    Attributes:
        store: SQLAlchemy URL of the database; a relative SQLite path starts at the configuration file.
        identifier_keys: HMAC keys of identifier digests.
        indicators: how indicators are compared with events.
        sources: how far sources of indicators are trusted, by the names that they give themselves.
        log_signing_key: Ed25519 private key in PEM that signs checkpoints of the decision log.
        api_token: what callers of the sidecar's screen API present.
        policies: the policy files, with directories expanded.
        bindings: where policies apply and how hard; by default `bindings.yaml` in a directory of `policies`.
        rates: exchange rates by day; by default `rates.csv` in a directory of `policies`.
        approvals: whose signatures changes of policies need.
        clocks: deadlines of holds and cases.
        name_lists: lists of names to compare merchants and the people behind them with, by name.
        hubs: the coalition's hubs that may be asked whether an identifier is known, by name.
        feeds: what sources say, by the name that their indicators carry; settings are not validated yet.
        exchange: whom this deployment tells what it knows, by name; settings are not validated yet.
        inquiries: the lists of terminated merchants that are asked, by the name that their indicators carry; settings
            are not validated yet.
        notices: what merchants are told about holds; nothing is written for them without it.
        notifications: who is told what happens, by name.
        people: who may do what by hand; without any, whoever can read the configuration may do everything but what the
            role `restricted` is for.
        directives: how long authorities' instructions may last.
        referrals: by when something is to be done about tips that others hand us.
        enforcement: how gateways are made to agree with the holds.
        retention: how long records are kept.
        review: how long proposals, snoozes and upheld holds last.
        withdrawal: what follows when what a hold rests on is withdrawn.
        required: names of plugins that must be installed.
        screening: limits of a screening.
        checks: settings by check id, not validated yet.
        gateways: settings by instance, secrets resolved, otherwise not validated yet.
    """

    store: _Secret = "sqlite:///paycordon.db"
    identifier_keys: IdentifierKeys
    indicators: IndicatorsSection = IndicatorsSection()
    sources: dict[Annotated[str, Field(min_length=1, max_length=255)], SourceSection] = {}
    log_signing_key: Annotated[StrictStr | None, Field(repr=False)] = None
    # A reference in the file may be shorter than the token itself.
    api_token: Annotated[
        StrictStr | None, Field(repr=False, min_length=MIN_TOKEN_LENGTH), WithJsonSchema({"type": ["string", "null"]})
    ] = None
    policies: Annotated[tuple[Path, ...], Field(min_length=1)]
    bindings: Path | None = None
    rates: Path | None = None
    approvals: Approvals = Approvals()
    clocks: Clocks = Clocks()
    name_lists: dict[Name, NameListSection] = {}
    people: dict[Name, PersonSection] = {}
    directives: DirectivesSection = DirectivesSection()
    referrals: ReferralsSection = ReferralsSection()
    enforcement: EnforcementSection = EnforcementSection()
    retention: RetentionSection = RetentionSection()
    notifications: Annotated[dict[Name, NotificationSection], Field(repr=False)] = {}
    hubs: Annotated[dict[Name, HubSection], Field(repr=False)] = {}
    feeds: Annotated[dict[Name, dict[str, JsonValue]], Field(repr=False)] = {}
    exchange: Annotated[dict[Name, dict[str, JsonValue]], Field(repr=False)] = {}
    inquiries: Annotated[dict[Name, dict[str, JsonValue]], Field(repr=False)] = {}
    notices: NoticesSection | None = None
    review: ReviewSection = ReviewSection()
    withdrawal: WithdrawalSection = WithdrawalSection()
    required: tuple[str, ...] = ()
    screening: Screening = Screening()
    checks: dict[Name, dict[str, JsonValue]] = {}
    gateways: Annotated[dict[Name, dict[str, JsonValue]], Field(repr=False)] = {}

    _document: Document = PrivateAttr()
    _base: Path = PrivateAttr()
    _entries: tuple[Path, ...] = PrivateAttr()
    _named: Mapping[str, Path | None] = PrivateAttr()

    def position(self, *loc: str | int) -> Position:
        """Where in the file the value at `loc` stands, or what is nearest around it."""
        return self._document.position(loc)

    def digester(self) -> Digester:
        """Return what makes digests of identifiers, with the warning lists that the configuration names.

        Raises:
            ConfigError: a key or a list cannot be used.
        """
        keys = {key_id: secret.encode() for key_id, secret in self.identifier_keys.keys.items()}
        own = [entry for path in self.indicators.warnings for entry in warninglist.read(self._base / path)]
        common = [*own, *warninglist.shipped()] if own else None
        return Digester(keys, self.identifier_keys.current, common, self.identifier_keys.shared)

    @property
    def base(self) -> Path:
        """The directory that relative paths start from."""
        return self._base

    @property
    def standards(self) -> Standards:
        """How indicators are weighed."""
        trust = {name: source.trust for name, source in self.sources.items()}
        return Standards(trust, self.indicators.most_merchants, self.indicators.known_for.length)

    @property
    def lookup(self) -> Path | None:
        """Where the lookup of indicators is, if there is to be one."""
        return None if self.indicators.lookup is None else self._base / self.indicators.lookup

    def policy_files(self) -> PolicyFiles:
        """Look again which files judge: directories may have got others since the configuration was read.

        Raises:
            ConfigError: a file or directory is not there, or a directory has no policy.
        """
        return _policy_files(self, self._base)

    def names(self, path: Path) -> bool:
        """Tell whether the configuration names this policy file, bindings or rates itself, not only its directory."""
        named = (*self._entries, *self._named.values())
        return path.resolve() in {(self._base / each).resolve() for each in named if each is not None}

    def name_list_places(self) -> Mapping[str, tuple[Path, Path]]:
        """Return of each list of names its file and the directory of its index."""
        return {
            name: (self._base / each.file, self._base / (each.index or Path("names") / name))
            for name, each in self.name_lists.items()
        }

    def validated(self, model: type[_M], *loc: str) -> _M:
        """Read the settings at `loc`, such as `("gateways", "stripe_eu")`, into a model.

        Settings that are absent altogether are read as empty.

        Raises:
            ConfigError: they do not fit; all problems with their positions.
        """
        data: Any = self
        for step in loc:
            data = data.get(step, {}) if isinstance(data, Mapping) else getattr(data, step)
        try:
            part = self._document.part(*loc)
        except KeyError:
            part = Document.absent(self.position(*loc))
        return validate(model, part, data=data)


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read `paycordon.yaml`.

    Args:
        path: the file; relative paths in it start from its directory.
        environ: the environment that `env:` references refer to.

    Raises:
        ConfigError: the file is malformed, a reference leads nowhere, a secret is written out, a policy file is
            missing, or a key cannot be used; every problem with its position.
    """
    document = read_document(path)
    _refuse_plain_secrets(document)
    base = path.resolve().parent
    data = Secrets(environ, base).resolve_all(document, *_WITH_REFERENCES)
    config = validate(Config, document, data=data)
    config._document, config._base, config._entries = document, base, config.policies
    config._named = {"bindings": config.bindings, "rates": config.rates}
    found = config.policy_files()
    config = config.model_copy(
        update={
            "policies": found.policies,
            "bindings": found.bindings,
            "rates": found.rates,
            "store": _absolute_store(config.store, base),
        }
    )
    for name in config.gateways:
        config.validated(_Instance, "gateways", name)
    for name in config.enforcement.instances:
        if name not in config.gateways:
            message = f"`enforcement` names the instance `{name}`, which is not among `gateways`"
            raise ConfigError(message, position=config.position("enforcement", "instances", name))
    for name in config.inquiries:
        if name in config.feeds:
            message = f"`{name}` is a feed as well, and the indicators of each are known by its name"
            raise ConfigError(message, position=config.position("inquiries", name), hint="name one of them otherwise")
    _check_reminders(config)
    _check_signing_key(config)
    return config


def _refuse_plain_secrets(document: Document) -> None:
    names = ("log_signing_key", "api_token", "gateways", "notifications", "hubs", "feeds", "exchange", "inquiries")
    places = (("identifier_keys", "keys"), ("referrals", "reminders"), *((name,) for name in names))
    problems = [problem for place in places for problem in plain_secrets(document, *place)]
    store = document.data.get("store") if isinstance(document.data, dict) else None
    if isinstance(store, str) and not is_reference(store) and _PASSWORD_IN_URL.search(store):
        message = "`store` holds a password in plain text; secrets come only from `env:` or `file:`"
        problems.append(Problem(document.position(("store",)), message, "write `env:NAME` with the whole URL in NAME"))
    if problems:
        raise error_from(problems)


def _policy_files(config: Config, base: Path) -> PolicyFiles:
    """Expand directories to the files in them, in name order; files of policy tests are left out."""
    policies: list[Path] = []
    directories: list[Path] = []
    for index, entry in enumerate(config._entries):
        path, position = base / entry, config.position("policies", index)
        if path.is_dir():
            found = [file for file in sorted(path.glob("*.yaml")) if _is_policy(file)]
            if not found:
                raise ConfigError(f"there is no policy file in `{entry}`", position=position, hint="add a `.yaml` file")
            policies += found
            directories.append(path)
        elif path.is_file():
            policies.append(path)
        else:
            raise ConfigError(f"there is no policy file or directory `{entry}`", position=position)
    bindings = _beside(config, "bindings", base, directories, BINDINGS_FILE)
    return PolicyFiles(tuple(policies), bindings, _beside(config, "rates", base, directories, RATES_FILE))


def _is_policy(path: Path) -> bool:
    return path.name != BINDINGS_FILE and not path.name.endswith(".test.yaml")


def _beside(config: Config, key: str, base: Path, directories: Iterable[Path], name: str) -> Path | None:
    """Return the file that the configuration names, or the one of that name in a directory of policies."""
    named = config._named[key]
    if named is not None:
        if not (base / named).is_file():
            raise ConfigError(f"there is no file `{named}`", position=config.position(key))
        return base / named
    found = [directory / name for directory in directories if (directory / name).is_file()]
    if len(found) > 1:
        hint = f"say which one counts: `{key}: PATH`"
        raise ConfigError(f"there are several `{name}`", position=config.position("policies"), hint=hint)
    return found[0] if found else None


def _absolute_store(url: str, base: Path) -> str:
    """Let a relative SQLite path start at the configuration file, so that every process opens the same database."""
    found = _RELATIVE_SQLITE.match(url)
    return f"{found[1]}{base / found[2]}" if found else url


def _check_reminders(config: Config) -> None:
    """Refuse to remind the role `restricted` where others read along."""
    reminders = config.referrals.reminders
    if reminders is not None and reminders.url in {each.url for each in config.notifications.values()}:
        message = "this is an endpoint of `notifications` too, whose readers must not learn that there are referrals"
        hint = "name one that only people of the role `restricted` read"
        raise ConfigError(message, position=config.position("referrals", "reminders", "url"), hint=hint)


def _check_signing_key(config: Config) -> None:
    if config.log_signing_key is None:
        return
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    hint = "make one with `openssl genpkey -algorithm ed25519`"
    try:
        key = load_pem_private_key(config.log_signing_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        message = "`log_signing_key` is not an Ed25519 private key in PEM"
        raise ConfigError(message, position=config.position("log_signing_key"), hint=hint)
