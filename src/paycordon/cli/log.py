"""`paycordon log`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import console, print_json, print_line
from paycordon.cli.root import FINDINGS
from paycordon.errors import ConfigError, Position

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from paycordon.config import Config
    from paycordon.record.checkpoints import Checkpoint
    from paycordon.record.verify import LogReport

Progress = Callable[[int, int], None]


def verify(
    checkpoints: Annotated[
        Path | None, typer.Option(help="Checkpoints that were kept outside of the database, as `log checkpoint` wrote.")
    ] = None,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="Public key in PEM that checkpoints may be signed with; else that of the configuration."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Verify the decision log, its checkpoints and the records it names. Exits with 1 when something was changed."""
    from paycordon.record.verify import verify as verify_log
    from paycordon.store import Store

    loaded = read_config(config)
    keys = _public_keys(loaded, public_key or ())
    kept = _kept(checkpoints) if checkpoints else ()
    store = Store.open(loaded.store)
    try:
        with _progress() as progress:
            report = verify_log(store, public_keys=keys, kept=kept, progress=progress)
    finally:
        store.close()
    if as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        _show(report, bool(keys))
    return 0 if report.ok else FINDINGS


def checkpoint(
    out: Annotated[
        Path | None, typer.Option(help="Append it to this file as well; keep that outside of the database's reach.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Sign the newest entry of the decision log, so that what stands before it cannot be rewritten unseen.

    When a worker has signed it already, that checkpoint is the one printed or kept.
    """
    from paycordon.record.checkpoints import checkpoint as sign
    from paycordon.record.checkpoints import export, newest
    from paycordon.screening import utc_now
    from paycordon.store import Store

    loaded = read_config(config)
    key = _signing_key(loaded)
    store = Store.open(loaded.store)
    try:
        # Opened before anything is signed: a signature that could not be kept would not be made again.
        with _appending(out) as file:
            signed = sign(store, key, utc_now()) or newest(store)
            if signed is not None and file is not None and out is not None:
                _keep(export(signed), out, file)
    finally:
        store.close()
    if as_json:
        print_json(None if signed is None else {"seq": signed.seq, "hash": signed.hash.hex(), "line": export(signed)})
    elif signed is None:
        print_line("nothing was logged yet, so there is nothing to sign")
    elif out is None:
        print_line(export(signed))
    else:
        print_line(f"signed entry {signed.seq}; kept in {out}")


def _keep(line: str, path: Path, file: int) -> None:
    """Append a checkpoint to a file that does not hold it yet, for certain."""
    if line not in path.read_text(encoding="utf-8", errors="replace").splitlines():
        os.write(file, f"{line}\n".encode())
        os.fsync(file)


def public_key(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Print the public half of the log's signing key, for those who verify."""
    from paycordon.keys import key_id_of, public_key_of

    key = _signing_key(read_config(config))
    pem = public_key_of(key)
    if as_json:
        print_json({"key_id": key_id_of(key.public_key()), "pem": pem})
    else:
        sys.stdout.write(pem)


def _signing_key(config: Config) -> Ed25519PrivateKey:
    from paycordon.record.checkpoints import load_private_key

    if config.log_signing_key is None:
        hint = "add `log_signing_key`; `paycordon init` in an empty directory shows how"
        raise ConfigError("there is no key to sign the log with", position=config.position(), hint=hint)
    return load_private_key(config.log_signing_key)


def _public_keys(config: Config, paths: Sequence[Path]) -> list[Ed25519PublicKey]:
    from paycordon.record.checkpoints import load_public_key

    if not paths:
        return [_signing_key(config).public_key()] if config.log_signing_key else []
    keys = []
    for path in paths:
        try:
            keys.append(load_public_key(_text(path)))
        except ConfigError as error:
            raise ConfigError(error.message, position=error.position or Position(path), hint=error.hint) from None
    return keys


def _kept(path: Path) -> list[Checkpoint]:
    from paycordon.record.checkpoints import load

    try:
        return load(_text(path).splitlines())
    except ConfigError as error:
        raise ConfigError(error.message, position=error.position or Position(path), hint=error.hint) from None


def _text(path: Path) -> str:
    from paycordon.cli.inputs import read_text

    return read_text(path)[1]


@contextmanager
def _appending(path: Path | None) -> Iterator[int | None]:
    if path is None:
        yield None
        return
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be written: {reason}", position=Position(path)) from None
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _progress() -> Iterator[Progress | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress as Bar

    with Bar(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying")
        yield lambda read, total: bar.update(task, completed=read, total=total)


def _show(report: LogReport, with_keys: bool) -> None:
    for problem in report.problems:
        print_line(problem.text)
    if report.more:
        print_line(f"and {report.more} more")
    signatures = "" if with_keys else " (signatures not checked: no key is known)"
    print_line(f"{report.entries} entries, {report.checkpoints} checkpoints agree{signatures}")
    print_line(f"head {report.seq} {report.hash}")
    print_line("the log is whole" if report.ok else f"the log was changed; first: {report.problems[0].text}")
