"""`python -m paycordon.schemas DIRECTORY`: write the JSON Schemas of events and decisions there."""

from __future__ import annotations

import sys
from pathlib import Path

from paycordon.schemas import generate


def main(arguments: list[str]) -> int:
    """Write the schemas into the directory named by the one argument; returns the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m paycordon.schemas DIRECTORY (it has to exist)\n")
        return 2
    for name, text in generate().items():
        (Path(arguments[0]) / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
