"""What can be wrong with the log, one sentence each."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_LISTED = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        what: `changed`, `missing`, `inserted`, `truncated`, `checkpoint` or `unnamed`.
        text: one sentence that begins with the entry or record.
        entry: the number of the log entry, if it is one.
        record: the id of the event, decision or hold, if it is one.
    """

    what: str
    text: str
    entry: int | None = None
    record: str | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Problems:
    """A list of problems that does not grow without bound."""

    listed: list[Problem] = field(default_factory=list)
    more: int = 0

    def add(self, what: str, text: str, *, entry: int | None = None, record: str | None = None) -> None:
        """Note a problem; beyond the first hundred they are only counted."""
        if len(self.listed) < MAX_LISTED:
            self.listed.append(Problem(what, text, entry, record))
        else:
            self.more += 1
