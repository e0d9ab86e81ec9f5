"""Runs a command and turns whatever goes wrong into one clear message and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from paycordon.cli.output import plain
from paycordon.errors import ConfigError, PaycordonError, Position

FINDINGS, USAGE, FAULT, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 130, 141


class Root(TyperGroup):
    """The top-level command. A command's return value is its exit code; none means 0."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> Any:
        """Run, report errors, and exit."""
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(given, prog_name or "paycordon", **extra)
        except Exception as error:
            code = report(error, as_json="--json" in given)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a reader that went away ends it quietly."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still buffered must go somewhere, or the interpreter complains at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        return code


def report(error: Exception, *, as_json: bool) -> int:
    """Say on stderr what went wrong, in one line (JSON if asked for), and return the exit code."""
    if os.environ.get("PAYCORDON_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, typer.Abort):
        return INTERRUPTED
    if as_json:
        sys.stderr.write(json.dumps({"error": _described(error)}) + "\n")
    else:
        sys.stderr.write(f"error: {_sentence(error)}\n")
    return USAGE if isinstance(error, PaycordonError | typer.TyperException) else FAULT


def _sentence(error: Exception) -> str:
    about = _described(error)
    place = f"{about['file']}:{about['line']}:{about['column']}: " if "file" in about else ""
    hint = f" ({about['hint']})" if about.get("hint") else ""
    return "\n".join(plain(line) for line in f"{place}{about['message']}{hint}".splitlines())


def _described(error: Exception) -> dict[str, Any]:
    """Name an error for a program: kind, message, and place and hint where there are any."""
    about: dict[str, Any] = {"kind": type(error).__name__}
    if isinstance(error, ConfigError):
        about |= {"message": error.message, "hint": error.hint} | _place(error.position)
    elif isinstance(error, PaycordonError):
        about["message"] = str(error)
    elif isinstance(error, typer.TyperException):
        about |= {"kind": "UsageError", "message": _lowered(error.format_message()), "hint": "see `--help`"}
    else:
        # The text of an unforeseen exception may hold anything, personal data included.
        message = f"internal error ({type(error).__name__}); nothing is known to be done"
        about |= {"message": message, "hint": "PAYCORDON_DEBUG=1 shows where; please report it"}
    return about


def _place(position: Position | None) -> dict[str, Any]:
    if position is None:
        return {}
    return {"file": str(position.file), "line": position.line, "column": position.column}


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")
