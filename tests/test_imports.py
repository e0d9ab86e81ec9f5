"""The public names: all there, none more, and nothing heavy until one is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import paycordon

HEAVY = {
    *("alembic", "asyncio", "cel_expr_python", "cryptography", "google", "iso4217", "pluggy", "pydantic", "ruamel"),
    *("sqlalchemy", "stripe", "tenacity", "typer", "uvicorn"),
}


def modules_after(code: str) -> set[str]:
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = modules_after("import paycordon\nassert 'Cordon' in dir(paycordon)")

    assert {name.split(".")[0] for name in loaded} & HEAVY == set()
    assert {name for name in loaded if name.startswith("paycordon.")} == set()


def test_an_error_can_be_caught_without_the_engine() -> None:
    loaded = modules_after("from paycordon import Blocked, Held")

    assert {name for name in loaded if name.startswith("paycordon.")} == {"paycordon.errors"}


def test_an_event_can_be_made_without_a_database() -> None:
    loaded = modules_after("from paycordon import Event, Money, Identifier")

    assert {name.split(".")[0] for name in loaded} & (HEAVY - {"pydantic", "iso4217"}) <= {"asyncio"}


def test_the_names_are_in_one_alphabet_and_each_once() -> None:
    assert paycordon.__all__ == sorted(set(paycordon.__all__), key=str.casefold)


@pytest.mark.parametrize("name", paycordon.__all__)
def test_a_public_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(paycordon, name)

    assert found.__name__ == name
    assert found.__module__.startswith("paycordon.")
    assert found.__doc__


def test_what_is_exported_is_what_is_listed() -> None:
    script = "from paycordon import *\nprint(*(name for name in dir() if not name.startswith('_')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert set(done.stdout.split()) == set(paycordon.__all__)
    assert set(paycordon._HOMES) == set(paycordon.__all__)
    assert set(paycordon.__all__) <= set(dir(paycordon))


def test_a_misspelt_name_is_an_import_error() -> None:
    with pytest.raises(AttributeError, match="module `paycordon` has no attribute `Cordn`"):
        paycordon.Cordn  # noqa: B018
    with pytest.raises(ImportError):
        exec("from paycordon import Cordn")


def test_the_names_are_typed(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import paycordon\n"
        "def outcome(cordon: paycordon.Cordon, event: paycordon.Event) -> str:\n"
        "    return cordon.screen(event).outcome\n"
        f"NAMES = ({', '.join(f'paycordon.{name}' for name in paycordon.__all__)},)\n"
        "wrong: int = paycordon.Cordon.from_config('x')\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent", "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=170)

    assert [line for line in done.stdout.splitlines() if "error" in line] == [
        'user.py:5: error: Incompatible types in assignment (expression has type "Cordon", '
        'variable has type "int")  [assignment]',
        "Found 1 error in 1 file (checked 1 source file)",
    ]
