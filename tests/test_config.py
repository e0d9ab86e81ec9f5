"""The configuration file."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from paycordon.config import load_config
from paycordon.decisions import Outcome
from paycordon.errors import ConfigError

ENVIRON = {"K": "k" * 32, "SK": "sk_test_secret", "WH": "whsec_secret", "TOKEN": "t" * 32}
TEXT = """\
store: sqlite:///paycordon.db
identifier_keys: {current: k1, keys: {k1: "env:K"}}
policies: [policies]
required: [checks]
screening: {budget_ms: 100}
checks: {payout_velocity: {max_count: 5}}
gateways:
  stripe_eu: {adapter: stripe, mode: test, api_key: "env:SK", webhook_secrets: ["env:WH"], retries: many}
"""


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    adapter: str
    mode: str
    api_key: str
    webhook_secrets: list[str]
    retries: int


@pytest.fixture
def load(tmp_path: Path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "b.yaml").touch()
    (tmp_path / "policies" / "a.yaml").touch()
    (tmp_path / "policies" / "a.test.yaml").touch()
    path = tmp_path / "paycordon.yaml"

    def load_text(text: str = TEXT, environ=ENVIRON):
        path.write_text(text)
        return load_config(path, environ)

    return load_text


def test_a_configuration_is_read_with_its_secrets_and_paths(load, tmp_path: Path):
    config = load()
    assert config.store == f"sqlite:///{tmp_path}/paycordon.db"
    assert config.identifier_keys.keys == {"k1": "k" * 32}
    assert config.policies == (tmp_path / "policies/a.yaml", tmp_path / "policies/b.yaml")
    assert config.gateways["stripe_eu"]["webhook_secrets"] == ["whsec_secret"]
    assert (config.screening.budget_ms, config.screening.check_deadline_ms) == (100, 50)
    assert config.screening.when_unavailable is Outcome.HOLD
    assert config.position("gateways", "stripe_eu", "mode").line == 8


def test_secrets_are_not_in_the_representation(load):
    shown = repr(load())
    assert not any(secret in shown for secret in ENVIRON.values())


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("store:", "stoer:", "1:1", "unknown key `stoer` (did you mean `store`?)"),
        ('"env:K"', "plain_k_0123456789", "2:43", "`keys` is written in plain text"),
        ('"env:SK"', "sk_live_x", "8:53", "`api_key` is written in plain text"),
        ('"env:SK"', "12345", "8:53", "`api_key` is written in plain text"),
        ('["env:WH"]', "[whsec_x]", "8:81", "`webhook_secrets` is written in plain text"),
        ("env:SK", "env:NO", "8:53", "the environment variable `NO` is not set (set NO before the start)"),
        ("env:SK", "file:no.key", "8:53", "the secret file `no.key` cannot be read: no such file"),
        ("store: sqlite", "store: postgresql://u:p_w_d@host/db # sqlite", "1:8", "password in plain text"),
        ("current: k1", "current: k2", "2:18", "names the key `k2`, which is not among `keys`"),
        ("env:K", "env:WH", "2:18", "the key `k1` is shorter than 32 bytes"),
        ("[policies]", "[nowhere]", "3:12", "no policy file or directory `nowhere`"),
        ("[policies]", "[]", "3:11", "at least 1 item"),
        ("policies: [policies]\n", "", "1:1", "`policies` is missing"),
        ("budget_ms: 100", "budget_ms: 0", "5:24", "greater than or equal to 1"),
        ("budget_ms: 100", "when_unavailable: hodl", "5:31", "did you mean `hold`?"),
        ("mode: test", "mode: tset", "8:38", "did you mean `test`?"),
        ("adapter: stripe, ", "", "8:14", "`adapter` is missing"),
        ("stripe_eu:", "Stripe-EU:", "8:3", "pattern"),
        ("required: [checks]", "api_token: env:WH", "4:12", "at least 24 characters"),
        ("required: [checks]", "api_token: plain_t", "4:12", "`api_token` is written in plain text"),
        ("required: [checks]", "log_signing_key: env:TOKEN", "4:18", "not an Ed25519 private key in PEM"),
        (TEXT, "", "1:1", "the file is empty"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_without_its_value(load, tmp_path: Path, old, new, place, words):
    with pytest.raises(ConfigError) as caught:
        load(TEXT.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/paycordon.yaml:{place}: ")
    assert words in message
    assert not any(secret in message for secret in ("sk_live_x", "12345", "whsec_x", "plain_k", "plain_t", "p_w_d"))


def test_every_missing_secret_is_named_at_once(load):
    with pytest.raises(ConfigError) as caught:
        load(environ={})
    assert [name for name in ("`K`", "`SK`", "`WH`") if name in str(caught.value)] == ["`K`", "`SK`", "`WH`"]


def test_a_directory_without_policies_is_refused(load, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.test.yaml").touch()
    with pytest.raises(ConfigError, match="there is no policy file in `empty`"):
        load(TEXT.replace("[policies]", "[empty]"))


def test_settings_are_validated_later_with_positions_and_resolved_secrets(load):
    config = load()
    with pytest.raises(ConfigError, match=r"paycordon.yaml:8:101: `retries`: should be a valid integer"):
        config.validated(Settings, "gateways", "stripe_eu")
    settings = load(TEXT.replace("many", "3")).validated(Settings, "gateways", "stripe_eu")
    assert settings.api_key == "sk_test_secret"


def test_settings_of_a_check_that_is_not_configured_are_empty(load):
    class Optional(BaseModel):
        limit: int = 7

    class Required(BaseModel):
        limit: int

    assert load().validated(Optional, "checks", "other").limit == 7
    with pytest.raises(ConfigError, match=r"paycordon.yaml:6:.*`limit` is missing"):
        load().validated(Required, "checks", "other")


def test_a_postgresql_url_comes_from_the_environment(load):
    config = load(TEXT.replace("sqlite:///paycordon.db", "env:DB"), {**ENVIRON, "DB": "postgresql://u:p@h/db"})
    assert config.store == "postgresql://u:p@h/db"


@pytest.mark.parametrize("url", ["sqlite:////var/lib/p.db", "sqlite:///:memory:", "sqlite://", "postgresql://h/db"])
def test_only_a_relative_sqlite_path_is_moved(load, url):
    assert load(TEXT.replace("sqlite:///paycordon.db", f"{url!r}")).store == url


def test_an_ed25519_key_is_taken_from_a_file(load, tmp_path: Path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "log-signing.pem").write_bytes(pem)
    config = load(TEXT.replace("required: [checks]", 'log_signing_key: "file:log-signing.pem"'))
    assert config.log_signing_key == pem.decode().removesuffix("\n")
