"""Split a name into the words that are compared, the same way for names on lists and names of merchants."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from paycordon.coalition.namewords import COURTESY, SPELT_OUT

MAX_WORDS = 24
MAX_LENGTH = 400


class NameKind(StrEnum):
    """Whose name it is: legal forms belong to organisations, titles to people."""

    PERSON = "person"
    ORGANISATION = "organisation"


# Courtesy and office, in front of or behind a person's name; found in every kind of form that people fill in.
_TITLES = COURTESY | {
    "sir", "dame", "lord", "lady", "senor", "senora", "sr", "jr", "haji", "hajji", "shaikh", "sheikh", "shaykh",
    "president", "prasident", "dipl", "ing", "mag",
}  # fmt: skip
# Little words that are written or left out as one likes.
_PARTICLES = frozenset(
    ("the", "of", "and", "und", "et", "y", "e", "al", "el", "bin", "ben", "ibn", "bint", "de", "da", "do", "dos", "del",
     "della", "di", "van", "von", "der", "den", "la", "le")
)  # fmt: skip
_NUMBERS = {
    "first": "1", "1st": "1", "second": "2", "2nd": "2", "third": "3", "3rd": "3", "one": "1", "two": "2",
    "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
_ABBREVIATED = {
    "intl": "international", "int": "international", "natl": "national", "bros": "brothers", "mfg": "manufacturing",
    "assn": "association", "assoc": "association", "dept": "department", "svcs": "services", "tech": "technology",
    "mgmt": "management", "ind": "industries", "grp": "group",
}  # fmt: skip
# In other alphabets once they are transliterated, and words that the library has only as a part of others.
_MORE_FORMS = frozenset(
    ("ooo", "oao", "zao", "pao", "ao", "jsc", "ojsc", "pjsc", "cjsc", "company", "co", "corp", "corporation",
     "incorporated", "limited")
)  # fmt: skip
_LETTER_DIGITS = str.maketrans("0134579", "oleasts")
_APOSTROPHES = re.compile("['\u2019\u02bc`\u00b4\u2018]")
_INITIALS = re.compile(r"\b(?:\w\.){2,}")
_SEPARATORS = re.compile(r"[^0-9a-z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is compared.

    Attributes:
        words: in the order in which they stand, without titles, legal forms and little words.
        latin: whether it was written in Latin letters; otherwise its vowels are a guess.
        kind: whose name it is.
    """

    words: tuple[str, ...]
    latin: bool
    kind: NameKind

    @property
    def joined(self) -> str:
        """All words without spaces: what remains of a name whose words were run together."""
        return "".join(self.words)

    @property
    def sorted(self) -> str:
        """The words in alphabetical order: one spelling for all orders."""
        return " ".join(sorted(self.words))


@lru_cache(maxsize=65_536)
def read(name: str, kind: NameKind) -> Name:
    """Split a name. Of one that has nothing but little words, those are its words; an unreadable one has none."""
    latin = _is_latin(name)
    words = _split(name)
    dropped = _TITLES if kind is NameKind.PERSON else frozenset[str]()
    kept = [word for word in words if word not in dropped] or words
    bare = _without_legal_form(kept)
    strong = [word for word in bare if word not in _PARTICLES]
    said = dict.fromkeys(strong) if kind is NameKind.PERSON else strong
    return Name(tuple(said or bare or kept)[:MAX_WORDS], latin, kind)


def _split(name: str) -> list[str]:
    from anyascii import anyascii

    text = unicodedata.normalize("NFKC", name[:MAX_LENGTH])
    text = _CAMEL.sub(" ", text) if _is_latin(text) else text
    text = _INITIALS.sub(lambda found: f" {found[0].replace('.', '')} ", text)
    plain = _APOSTROPHES.sub("", anyascii(_APOSTROPHES.sub("", text)).casefold())
    return [_spelled(word) for word in _SEPARATORS.split(plain) if word]


def _spelled(word: str) -> str:
    """One spelling of numbers, of usual abbreviations, and of letters that somebody wrote as digits."""
    if word.isdigit():
        return word.lstrip("0") or "0"
    if word in _NUMBERS or word in _ABBREVIATED:
        return _NUMBERS.get(word) or _ABBREVIATED[word]
    letters = sum(each.isalpha() for each in word)
    return word.translate(_LETTER_DIGITS) if letters * 2 > len(word) else word


def _is_latin(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return all(ord(c) < 0x250 or unicodedata.name(c, "").startswith("LATIN") for c in letters)


@lru_cache(maxsize=1)
def _legal_forms() -> tuple[frozenset[str], tuple[tuple[str, ...], ...]]:
    """Return legal forms: those of one word, and those of several, longest first."""
    from cleanco.termdata import terms_by_country, terms_by_type

    given = [term for terms in (*terms_by_type.values(), *terms_by_country.values()) for term in terms]
    split = {tuple(_split(term)) for term in (*given, *SPELT_OUT)} | {(form,) for form in _MORE_FORMS}
    several = sorted((words for words in split if len(words) > 1), key=lambda words: (-len(words), words))
    return frozenset(words[0] for words in split if len(words) == 1 and len(words[0]) > 1), tuple(several)


def _without_legal_form(words: list[str]) -> list[str]:
    """Take legal forms off both ends, as often as there are some; a name that is nothing else keeps its words."""
    one, several = _legal_forms()
    left = list(words)
    while len(left) > 1:
        form = next((form for form in several if _ends(left, form)), None)
        if form is not None and len(form) < len(left):
            left = left[len(form) :] if tuple(left[: len(form)]) == form else left[: -len(form)]
        elif left[-1] in one:
            left.pop()
        elif left[0] in one and len(left[0]) > 1:
            left.pop(0)
        else:
            break
    return left


def _ends(words: list[str], form: tuple[str, ...]) -> bool:
    return tuple(words[: len(form)]) == form or tuple(words[-len(form) :]) == form


_VOWELS = str.maketrans("", "", "aeiouyhw")


def skeleton_of(word: str) -> str:
    """Return a word's consonants: what is sure of it where an alphabet writes no vowels."""
    return word.translate(_VOWELS)
