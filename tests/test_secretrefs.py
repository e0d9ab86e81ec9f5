"""References to secrets."""

from pathlib import Path

import pytest

from paycordon.errors import ConfigError, Position
from paycordon.secretrefs import Secrets, is_reference

HERE = Position("c.yaml", 3, 5)


def test_a_reference_is_followed_into_the_environment_or_a_file_beside_the_configuration(tmp_path: Path):
    (tmp_path / "key.txt").write_text("s3cret\n")
    secrets = Secrets({"KEY": "from env"}, tmp_path)
    assert secrets.resolve("env:KEY", HERE) == "from env"
    assert secrets.resolve("file:key.txt", HERE) == "s3cret"
    assert secrets.resolve(f"file:{tmp_path / 'key.txt'}", HERE) == "s3cret"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:NO", "`NO` is not set"),
        ("env:", "`` is not set"),
        ("env:EMPTY", "`env:EMPTY` is empty"),
        ("file:no.txt", "`no.txt` cannot be read: no such file"),
        ("file:", "cannot be read"),
        ("file:empty.txt", "is empty"),
        ("file:big.txt", "larger than 64 KiB"),
        ("file:binary", "not UTF-8"),
        ("sk_live_plain", "secrets come only from `env:` or `file:`"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_at_its_place(tmp_path: Path, reference, words):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "big.txt").write_text("x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        Secrets({"EMPTY": ""}, tmp_path).resolve(reference, HERE)
    assert str(caught.value).startswith("c.yaml:3:5: ")
    assert words in str(caught.value)
    assert "sk_live" not in str(caught.value)


def test_only_env_and_file_are_references():
    assert is_reference("env:X")
    assert is_reference("file:x")
    assert not any(map(is_reference, ("environment", "https://x", "", None, 5)))
