"""Putting an earlier set back is whole, or the directory is one that nobody reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from paycordon import rollback
from paycordon.config import Config, load_config
from paycordon.errors import Conflict, PolicyError
from paycordon.policy import PolicyFiles, PolicySet, load_set
from paycordon.reload import MARKER, read
from paycordon.testing import NOON


class _Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def texts(then: str, *names: str) -> Mapping[str, str]:
    rule = f'  - id: r\n    on: [payout.requested]\n    when: "true"\n    then: {then}\n    merchant_reason: needed\n'
    return {f"{name}.yaml": f"policy: {name}\nversion: 1\non_error: review\nrules:\n{rule}" for name in names}


@pytest.fixture
def deployment(tmp_path: Path) -> Config:
    """Policies `b` and `c`; the earlier set has `a` and another `b`."""
    root = tmp_path / "policies"
    root.mkdir()
    for name, text in texts("block", "b", "c").items():
        (root / name).write_text(text)
    (tmp_path / "paycordon.yaml").write_text("policies: [policies]\nidentifier_keys: {current: k, keys: {k: env:K}}\n")
    return load_config(tmp_path / "paycordon.yaml", {"K": "k" * 32})


@pytest.fixture
def earlier(tmp_path: Path, deployment: Config) -> tuple[PolicySet, PolicyFiles]:
    root = tmp_path / "policies"
    contents = {root / name: text.encode() for name, text in texts("hold", "a", "b").items()}
    files = PolicyFiles(tuple(contents))
    return load_set(files, read=contents.__getitem__), files


def test_all_files_are_those_of_the_set(deployment: Config, earlier: tuple[PolicySet, PolicyFiles]) -> None:
    done = rollback.replace(deployment, *earlier, (), NOON)
    assert (done.written, done.removed) == (("a.yaml", "b.yaml"), ("c.yaml",))
    assert done.backup is not None
    assert {path.name: path.read_text() for path in done.backup.iterdir()} == dict(texts("block", "b", "c"))
    assert read(deployment, {})[0].digest == earlier[0].digest


def test_what_is_as_it_was_is_left_alone(deployment: Config, earlier: tuple[PolicySet, PolicyFiles]) -> None:
    rollback.replace(deployment, *earlier, (), NOON)
    again = rollback.replace(deployment, *earlier, (), NOON)
    assert (again.written, again.removed, again.backup) == ((), (), None)


@pytest.mark.parametrize("killed_at", range(6))
def test_wherever_it_is_killed_nothing_half_is_read_and_the_same_command_ends_it(
    deployment: Config, earlier: tuple[PolicySet, PolicyFiles], killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(deployment, {})[0].digest
    write, calls = rollback.write, 0

    def until_killed(path: Path, content: bytes) -> None:
        nonlocal calls
        if calls == killed_at:
            raise _Killed
        calls += 1
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "write", until_killed)
        try:
            rollback.replace(deployment, *earlier, (), NOON)
        except _Killed:
            pass
        else:
            assert calls == killed_at == 5, "there are five files to write: marker, two kept, two new"
    if (deployment.policy_files().policies[0].parent / MARKER).exists():
        with pytest.raises(PolicyError, match="are being rolled back"):
            read(deployment, {})
    else:
        assert read(deployment, {})[0].digest in {before, earlier[0].digest}

    rollback.replace(deployment, *earlier, (), NOON)

    assert read(deployment, {})[0].digest == earlier[0].digest
    kept = [path.read_text() for path in (deployment.policy_files().policies[0].parent / ".replaced").rglob("*.yaml*")]
    assert set(texts("block", "b", "c").values()) <= set(kept)


def test_a_file_that_the_configuration_names_is_not_taken_away(
    deployment: Config, earlier: tuple[PolicySet, PolicyFiles], tmp_path: Path
) -> None:
    more, file = tmp_path / "more.yaml", tmp_path / "paycordon.yaml"
    more.write_text(texts("hold", "more")["more.yaml"])
    file.write_text(file.read_text().replace("[policies]", "[policies, more.yaml]"))
    with pytest.raises(Conflict, match=r"names `\.\./more\.yaml`"):
        rollback.replace(load_config(file, {"K": "k" * 32}), *earlier, (), NOON)
    assert more.exists()
    assert read(deployment, {})[0].policy("c") is not None


def test_bindings_that_the_set_did_not_have_are_taken_away(
    deployment: Config, earlier: tuple[PolicySet, PolicyFiles], tmp_path: Path
) -> None:
    (tmp_path / "policies" / "bindings.yaml").write_text("bindings:\n  - {id: x, policy: b, mode: shadow}\n")
    config = load_config(tmp_path / "paycordon.yaml", {"K": "k" * 32})
    assert rollback.replace(config, *earlier, (), NOON).removed == ("bindings.yaml", "c.yaml")
    assert read(config, {})[0].bindings is None


def test_what_turns_out_to_be_another_set_keeps_the_marker(
    deployment: Config, earlier: tuple[PolicySet, PolicyFiles], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Somebody adds a policy while files are put back."""
    write = rollback.write

    def beside(path: Path, content: bytes) -> None:
        (tmp_path / "policies" / "late.yaml").write_text(texts("hold", "late")["late.yaml"])
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "write", beside)
        with pytest.raises(Conflict, match="the policies in force stay"):
            rollback.replace(deployment, *earlier, (), NOON)
    assert (tmp_path / "policies" / MARKER).exists()
    rollback.replace(deployment, *earlier, (), NOON)
    assert read(deployment, {})[0].digest == earlier[0].digest
