"""Candidates among millions of listed names: an index on disk that processes share, built whole and swapped at once.

It holds the groups of three letters of each name. A search returns the names that share the most and the rarest groups
with the one asked about; `paycordon.names.scoring` judges them, so the index only has to miss little.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from paycordon.errors import ConfigError
from paycordon.names.scoring import Score, score
from paycordon.names.words import Name, NameKind, read, skeleton_of

_logger = logging.getLogger("paycordon")
FORMAT = 2
_MANIFEST = "manifest.json"
_GRAM = 3
# Sixty candidates hold the right one in 997 of 1,000 names with one or two typing errors among a million.
_CANDIDATES = 60
# Parts that more than 3 % of all names have are not asked for, unless there are fewer than 12 others: of 1,000 names as
# above they bring in none that the rarer parts miss, and take six times as long.
_COMMON, _FEWEST = 0.03, 12
_MEMORY = 128_000_000
_POINTER = "current"
# A reader looks so often whether there is a newer index.
RECHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a list.

    Attributes:
        id: the list's own name of the entry.
        name: its main name.
        kind: whose name it is.
        aliases: other names it is known by.
        reference: where the list says more, such as a page.
    """

    id: str
    name: str
    kind: NameKind
    aliases: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that was found, by which of its names, and how alike that is."""

    entry: Listed
    by: str
    score: Score


class NameIndex:
    """An index of one list, open for searching. Thread-safe; processes share its pages.

    Raises:
        ConfigError: there is no index at this place, or it was made by another version.
    """

    def __init__(self, path: Path) -> None:
        import tantivy

        self.manifest = _manifest(path)
        self._tantivy = tantivy
        index = tantivy.Index.open(str(path))
        self._schema, self._searcher = index.schema, index.searcher()
        self._have = lru_cache(maxsize=65_536)(partial(self._searcher.doc_freq, "parts"))

    def __len__(self) -> int:
        """How many entries it holds."""
        return int(self.manifest["entries"])

    def search(self, name: str, kind: NameKind, threshold: int, limit: int = 5) -> list[Found]:
        """Return entries whose name or alias is at least so alike, from 0 to 100, the most alike first."""
        asked = read(name, kind)
        best: dict[str, Found] = {}
        for by, words, latin, *entry in self._candidates(asked):
            alike = score(asked, Name(tuple(words), latin, kind) if entry[2] == kind else read(by, kind))
            if alike.value < threshold:
                continue
            found = Found(_entry(entry), by, alike)
            before = best.get(found.entry.id)
            if before is None or alike.value > before.score.value:
                best[found.entry.id] = found
        return sorted(best.values(), key=lambda each: (-each.score.value, each.entry.id))[:limit]

    def _candidates(self, asked: Name) -> Iterable[list[Any]]:
        """What is stored of names that share the most and rarest parts."""
        if not asked.words:
            return
        query, should = self._tantivy.Query, self._tantivy.Occur.Should
        terms = [query.term_query(self._schema, "parts", part, index_option="freq") for part in self._telling(asked)]
        found = self._searcher.search(query.boolean_query([(should, term) for term in terms]), _CANDIDATES, count=False)
        for _, address in found.hits:
            yield json.loads(self._searcher.doc(address).to_dict()["row"][0])

    def _telling(self, asked: Name) -> Sequence[str]:
        """The parts of a name that few others have, the rarest first."""
        parts = sorted(parts_of(asked), key=self._have)
        most = _COMMON * self._searcher.num_docs
        return parts[: max(_FEWEST, sum(self._have(part) <= most for part in parts))]


class CurrentIndex:
    """The newest index of a list: looks every two seconds whether another has been put in its place.

    Raises:
        ConfigError: there is none yet; `paycordon names build` makes it.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._name = _current(directory)
        self._index = NameIndex(directory / self._name)
        self._looked = clock()

    def get(self) -> NameIndex:
        """Return the newest index that can be opened; one that cannot be leaves the former in use."""
        if self._clock() - self._looked > RECHECK_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._index

    def _look(self) -> None:
        self._looked = self._clock()
        try:
            name = _current(self._directory)
            if name != self._name:
                self._index, self._name = NameIndex(self._directory / name), name
        except ConfigError as error:
            _logger.error("the index of names in use stays: %s", error)  # noqa: TRY400  # its text says all


def build(
    directory: Path, entries: Iterable[Listed], source_digest: str, progress: Callable[[int], object] | None = None
) -> int:
    """Make an index and put it in the place of the former at once; returns how many entries it holds.

    Until it is whole, and if the process dies, the former stays. Indexes that nothing points to any more are removed;
    a process that still has one open keeps reading it.

    Args:
        directory: where the indexes of this list are.
        entries: what it is to hold; an exception from it leaves everything as it was.
        source_digest: what it was made from, for `names status`.
        progress: is told the number of entries every so often.
    """
    directory.mkdir(parents=True, exist_ok=True)
    made = directory / f"v{FORMAT}-{uuid.uuid4().hex}"
    made.mkdir()
    try:
        count = _write(made, entries, progress or (lambda _: None))
        (made / _MANIFEST).write_text(json.dumps({"format": FORMAT, "entries": count, "source": source_digest}))
        _swap(directory, made.name)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    for old in directory.glob("v*-*"):
        if old.name != made.name:
            shutil.rmtree(old, ignore_errors=True)
    return count


def _write(path: Path, entries: Iterable[Listed], progress: Callable[[int], object]) -> int:
    import tantivy

    fields = tantivy.SchemaBuilder()
    fields.add_text_field("parts", stored=False, tokenizer_name="whitespace", index_option="freq")
    fields.add_bytes_field("row", stored=True)
    writer = tantivy.Index(fields.build(), str(path)).writer(_MEMORY, 1)
    count = 0
    try:
        for count, entry in enumerate(entries, start=1):
            whole = (entry.id, entry.name, entry.kind, entry.reference)
            for by in dict.fromkeys((entry.name, *entry.aliases)):
                name = read.__wrapped__(by, entry.kind)
                row = json.dumps([by, name.words, name.latin, *whole], ensure_ascii=False).encode()
                writer.add_document(tantivy.Document(parts=" ".join(parts_of(name)), row=row))
            if count % 5_000 == 0:
                progress(count)
        writer.commit()
    finally:
        writer.wait_merging_threads()  # until then it writes into the directory
    progress(count)
    return count


def _swap(directory: Path, name: str) -> None:
    pointer = directory / f"{_POINTER}.{uuid.uuid4().hex}"
    with pointer.open("w") as file:
        file.write(name)
        file.flush()
        os.fsync(file.fileno())
    pointer.replace(directory / _POINTER)


def _current(directory: Path) -> str:
    try:
        return (directory / _POINTER).read_text().strip()
    except OSError:
        raise ConfigError(f"there is no index in `{directory}`", hint="`paycordon names build` makes it") from None


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
    except (OSError, ValueError):
        raise ConfigError(f"the index `{path}` is not whole", hint="`paycordon names build` makes it anew") from None
    if manifest.get("format") != FORMAT:
        raise ConfigError(f"another version made `{path}`", hint="`paycordon names build` makes it anew")
    return manifest  # type: ignore[no-any-return]  # JSON


def parts_of(name: Name) -> Sequence[str]:
    """Return what a name is found by: the groups of letters across its words in order, and the words' consonants."""
    text = name.sorted.replace(" ", "_")
    grams = [text[i : i + _GRAM] for i in range(max(1, len(text) - _GRAM + 1))]
    bones = [f"={bone}" for word in name.words if len(bone := skeleton_of(word)) >= _GRAM]
    return list(dict.fromkeys((*grams, *bones)))


def _entry(stored: Sequence[str]) -> Listed:
    id_, name, kind, reference = stored
    return Listed(id_, name, NameKind(kind), (), reference)
