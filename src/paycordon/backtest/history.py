"""Where a history comes from, read piece by piece: JSON lines, Parquet, or the store's own.

Whatever the source, a piece is a block of JSON lines (see `paycordon.backtest.lines`), so that all are read alike.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import from_json, to_json

from paycordon.errors import ConfigError, PaycordonError, Position

BLOCK_BYTES = 2 * 1_048_576
MAX_LINE_BYTES = 1_048_576
_TOO_LONG = b'{"too_long":true}'
_PARQUET_COLUMNS = ("event", "findings", "check_errors", "merchant", "standing")
_PARQUET_ROWS = 4_096


class HistoryInvalid(PaycordonError):
    """A history cannot be read, or not to its end; nothing was concluded from what could be."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive lines of a history; `first` is the number of the first, from 1. Blank lines count as well."""

    index: int
    first: int
    lines: bytes = field(repr=False)
    digest: str

    @classmethod
    def of(cls, index: int, first: int, lines: bytes) -> Chunk:
        """Make a chunk with its digest."""
        return cls(index, first, lines, hashlib.sha256(b"%d\n" % first + lines).hexdigest())

    @property
    def end(self) -> int:
        """The number of the line behind the last."""
        return self.first + self.lines.count(b"\n") + (not self.lines.endswith(b"\n"))


class History(Protocol):
    """Something that chunks can be read from, always the same ones in the same order."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def unit(self) -> str:
        """What a position in it is: `line`, `row` or `entry`."""

    @property
    def size(self) -> int:
        """How much there is of it, in the unit of `done`."""

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Read it from its start; with each chunk comes how much of `size` was read.

        Raises:
            HistoryInvalid: it cannot be read to its end.
        """


class LinesFile:
    """A file of JSON lines, gzipped if its name ends in `.gz`."""

    unit = "line"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        self.size = path.stat().st_size

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Read it; a line of more than a mebibyte is taken as one that says so."""
        first, index = 1, 0
        try:
            with self._path.open("rb") as file:
                # What is opened here holds nothing but the file.
                opened = gzip.GzipFile(fileobj=file) if self._path.suffix == ".gz" else file
                for block in _blocks(opened):
                    chunk = Chunk.of(index, first, block if index else block.removeprefix(b"\xef\xbb\xbf"))
                    yield chunk, min(file.tell(), self.size)
                    first, index = chunk.end, index + 1
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise HistoryInvalid(f"`{self.name}` is damaged: it cannot be read beyond line {first}") from None
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise HistoryInvalid(f"`{self.name}` cannot be read: {reason}") from None


def _blocks(file: gzip.GzipFile | BufferedReader) -> Iterator[bytes]:
    """Split into blocks that end with whole lines."""
    rest = b""
    while data := file.read(BLOCK_BYTES):
        head, newline, tail = data.rpartition(b"\n")
        if newline:
            yield _shortened(rest + head + newline)
            rest = tail
        else:
            rest += data
        if len(rest) > MAX_LINE_BYTES:
            rest = rest[: MAX_LINE_BYTES + 1]  # the line is refused anyway, so no more of it is kept
    if rest:
        yield _shortened(rest)


def _shortened(block: bytes) -> bytes:
    if len(block) <= MAX_LINE_BYTES:
        return block
    lines = block.split(b"\n")
    if all(len(line) <= MAX_LINE_BYTES for line in lines):
        return block
    return b"\n".join(line if len(line) <= MAX_LINE_BYTES else _TOO_LONG for line in lines)


class ParquetFile:
    """A Parquet file: the column `event`, and optionally `findings`, `check_errors`, `merchant` and `standing`.

    The first three hold JSON as text (or bytes), the others plain text; further columns are not read.
    """

    unit = "row"

    def __init__(self, path: Path) -> None:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile as Opened

        self.name = path.name
        try:
            self._file = Opened(path)
        except (ArrowException, OSError):
            raise HistoryInvalid(f"`{self.name}` is not a Parquet file") from None
        names = self._file.schema_arrow.names
        if "event" not in names:
            raise HistoryInvalid(f"`{self.name}` has no column `event` with an event as JSON in each row")
        self._columns = [name for name in _PARQUET_COLUMNS if name in names]
        self.size = self._file.metadata.num_rows

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Read it, some thousand rows at a time."""
        from pyarrow import ArrowException

        first = 1
        try:
            for index, batch in enumerate(
                self._file.iter_batches(_PARQUET_ROWS, columns=self._columns, use_threads=False)
            ):
                rows = zip(*(batch.column(name).to_pylist() for name in self._columns), strict=True)
                block = b"".join(self._line(row) + b"\n" for row in rows)
                chunk = Chunk.of(index, first, _shortened(block))
                first = chunk.end
                yield chunk, first - 1
        except (ArrowException, OSError):
            raise HistoryInvalid(f"`{self.name}` is damaged: it cannot be read beyond row {first}") from None

    def _line(self, row: tuple[Any, ...]) -> bytes:
        """Write a row as the line that says the same; what is null is left out."""
        parts = (
            b'"%s":%s' % (name.encode(), _json(value) if name in _PARQUET_COLUMNS[:3] else to_json(value))
            for name, value in zip(self._columns, row, strict=True)
            if value is not None
        )
        return b"{%s}" % b",".join(parts)


def _json(value: object) -> bytes:
    """Return JSON on one line; what is none becomes a value that no event has."""
    content = value if isinstance(value, bytes) else str(value).encode()
    try:
        parsed = from_json(content)
    except ValueError:
        return b'"no JSON"'
    return to_json(parsed) if b"\n" in content or b"\r" in content else content


def open_file(path: Path) -> History:
    """Open a history by the ending of its name: `.jsonl`, `.jsonl.gz`, `.ndjson`, `.ndjson.gz` or `.parquet`.

    Raises:
        ConfigError: there is no such file, or its name ends otherwise.
        HistoryInvalid: it is not what its name says.
    """
    if not path.is_file():
        hint = "name a `.jsonl`, `.jsonl.gz` or `.parquet` file, or `store`"
        raise ConfigError(f"there is no history `{path}`", position=Position(path), hint=hint)
    endings = "".join(path.suffixes[-2:]).lower() if path.suffix == ".gz" else path.suffix.lower()
    if endings == ".parquet":
        return ParquetFile(path)
    if endings.removesuffix(".gz") in (".jsonl", ".ndjson"):
        return LinesFile(path)
    raise ConfigError(
        f"the kind of history `{path.name}` is not known",
        position=Position(path),
        hint="name it `.jsonl` or `.parquet`",
    )
