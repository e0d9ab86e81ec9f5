"""What an examination of a deployment collects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from paycordon.errors import ConfigError, PaycordonError


class Health(StrEnum):
    """How a part is: `fail` stops work, `warn` will or may."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found about one part; `fix` says what to do, and is empty when there is nothing."""

    part: str
    health: Health
    message: str
    fix: str = ""


class Examination:
    """Collects diagnoses; what raises becomes one, and the parts that need what it could not make are left out."""

    def __init__(self) -> None:
        self.found: list[Diagnosis] = []

    def note(self, part: str, message: str, health: Health = Health.OK, fix: str = "") -> None:
        """Note what was found about a part."""
        self.found.append(Diagnosis(part, health, message, fix))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Examine a part; whatever is raised inside is noted about it."""
        try:
            yield
        except ConfigError as error:
            place = f"{error.position}: " if error.position else ""
            self.note(name, f"{place}{error.message}", Health.FAIL, error.hint or "correct it")
        except PaycordonError as error:
            self.note(name, str(error), Health.FAIL, "make it available, then run `paycordon doctor` again")
        except Exception as error:  # an examination must come to its end
            self.note(name, f"cannot be examined: {type(error).__name__}", Health.FAIL, "please report this")
