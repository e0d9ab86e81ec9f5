"""What a merchant is told about a hold, in their language: neutral, true, and nothing of what was found.

A text is made of a hold's scope, its date, its neutral reason code and whether a machine decided, so that nothing else
can get into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from string import Formatter

from pydantic import BaseModel, ConfigDict

from paycordon.decisions import Scope
from paycordon.documents import read_document, validate
from paycordon.errors import ConfigError
from paycordon.store.holds import Hold, Source

SHIPPED = Path(__file__).parent / "messages"
FALLBACK = "en"
_SENTENCES = ("payout", "payouts", "charges", "onboarding", "automated", "ground", "review", "redress")


class Wording(BaseModel):
    """The texts of one language: by reason code, with `generic` for any other, and the sentences around them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reasons: dict[str, str]
    sentences: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Statement:
    """What a merchant is told, and the fields of a statement of reasons for who must give one."""

    language: str
    text: str
    fields: Mapping[str, str]


def languages(own: Path | None = None) -> list[str]:
    """Return the languages there are texts in, the deployment's own included."""
    directories = [SHIPPED, *([own] if own else [])]
    return sorted({file.stem for directory in directories for file in directory.glob("*.yaml")})


def wording(language: str, own: Path | None = None) -> Wording:
    """Return the texts of a language, `de-AT` being `de`; those of the deployment's own directory come first.

    A language without texts gets the English ones.

    Raises:
        ConfigError: a file of the deployment cannot be read, or leaves something out.
    """
    name = language.partition("-")[0].lower()
    shipped = _read(SHIPPED / f"{name}.yaml") if (SHIPPED / f"{name}.yaml").is_file() else None
    mine = _read(own / f"{name}.yaml") if own and (own / f"{name}.yaml").is_file() else None
    base = shipped or (_read(SHIPPED / f"{FALLBACK}.yaml") if mine is None else None)
    if mine is None:
        return base or _read(SHIPPED / f"{FALLBACK}.yaml")
    reasons = {**(base.reasons if base else {}), **mine.reasons}
    sentences = {**(base.sentences if base else {}), **mine.sentences}
    missing = [each for each in _SENTENCES if each not in sentences] + ([] if "generic" in reasons else ["generic"])
    known = {"since", "ground", "review", "contact"}
    used = {part[1] for text in sentences.values() for part in Formatter().parse(text)} - {None}
    if strange := sorted(str(each) for each in used if each not in known):
        hint = "write `{since}`, as in the shipped texts"
        raise ConfigError(f"the texts of `{name}` use `{{{strange[0]}}}`", hint=hint)
    if missing:
        raise ConfigError(f"the texts of `{name}` leave out `{missing[0]}`", hint="copy the shipped `en.yaml`")
    return Wording(reasons=reasons, sentences=sentences)


def statement(
    hold: Hold,
    language: str,
    *,
    ground: str = "",
    contact: str = "",
    review: datetime | None = None,
    own: Path | None = None,
) -> Statement:
    """Say to a merchant what a hold means for them.

    Args:
        hold: only its scope, its date, its reason code and its source are used.
        language: theirs, such as `de`.
        ground: the clause of the contract it rests on; may be left out.
        contact: where they can object; may be left out.
        review: by when it is looked at again.
        own: the deployment's own texts.
    """
    texts = wording(language, own)
    since = f"{hold.created_at:%Y-%m-%d}"
    stopped = Scope.PAYOUTS if hold.scope is Scope.OUTFLOW else hold.scope  # to the merchant it is the same
    parts = {
        "restriction": texts.sentences[stopped.value].format(since=since),
        "reason": texts.reasons.get(hold.merchant_reason, texts.reasons["generic"]),
        # A statement of reasons says so (Regulation (EU) 2022/2065, Art. 17(3)(c)); of people nothing is said.
        "automated": texts.sentences["automated"] if hold.source is Source.DECISION else "",
        "ground": texts.sentences["ground"].format(ground=ground) if ground else "",
        "review": texts.sentences["review"].format(review=f"{review:%Y-%m-%d}") if review else "",
        "redress": texts.sentences["redress"].format(contact=contact) if contact else "",
    }
    told = {name: text for name, text in parts.items() if text}
    return Statement(language, " ".join(told.values()), {**told, "since": since, "scope": stopped.value})


@lru_cache(maxsize=64)
def _read(path: Path) -> Wording:
    return validate(Wording, read_document(path))
