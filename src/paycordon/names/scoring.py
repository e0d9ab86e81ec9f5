"""How alike two names are, from 0 to 100, and why.

Words are paired, each with at most one other, so that what they share is greatest. A name's share is that of its
letters which found a partner, weighed by how alike the partners are; words that one name has and the other lacks cost
more the rarer they are left out in practice. No learning: the same two names always score the same, and the
explanation is the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from paycordon.names.words import Name, NameKind, skeleton_of

# Two words less alike than this are two words. Chosen on published pairs (`tests/benchmarks/test_names.py`).
_ALIKE = 0.72
_SHORT = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """Two words that were paired, and how alike they are, from 0 to 1."""

    asked: str
    listed: str
    alike: float


@dataclass(frozen=True, slots=True)
class Score:
    """How alike two names are.

    Attributes:
        value: from 0 to 100.
        pairs: which words were paired.
        missing: words of the listed name that found no partner.
        extra: words of the name asked about that found none.
        how: what decided, for people: `words`, `joined` (words run together), `skeleton` (consonants of names from
            alphabets that write no vowels).
    """

    value: int
    pairs: tuple[Pair, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    how: str

    def explained(self) -> str:
        """Say how the value came about, in words of the listed name only: those asked about may be a person's."""
        if self.how == "joined":
            return f"written as one word, {self.pairs[0].alike:.0%} of the letters agree"
        exact = [pair.listed for pair in self.pairs if pair.alike == 1.0]
        close = [f"{pair.listed} ({pair.alike:.0%})" for pair in self.pairs if pair.alike < 1.0]
        said = [
            ("the same", exact),
            ("alike", close),
            ("only on the list", list(self.missing)),
            ("only in the name asked about", [f"{len(self.extra)} words"] if self.extra else []),
            ("compared by", ["consonants"] if self.how == "skeleton" else []),
        ]
        return "; ".join(f"{what}: {', '.join(words)}" for what, words in said if words)


def score(asked: Name, listed: Name) -> Score:
    """Compare a name with one on a list; symmetric but for who is asked about."""
    if not asked.words or not listed.words:
        return Score(0, (), listed.words, asked.words, "words")
    skeleton = not (asked.latin and listed.latin)
    pairs = _paired(asked, listed, skeleton)
    by_words = _share(asked, listed, pairs)
    by_letters = _joined(asked, listed)
    if by_letters > by_words:
        return Score(round(100 * by_letters), (Pair(asked.joined, listed.joined, by_letters),), (), (), "joined")
    missing, extra = _left(listed.words, [p.listed for p in pairs]), _left(asked.words, [p.asked for p in pairs])
    return Score(round(100 * by_words), pairs, missing, extra, "skeleton" if skeleton else "words")


def _paired(asked: Name, listed: Name, skeleton: bool) -> tuple[Pair, ...]:
    """Pair words greedily, the most alike first: with a handful of words that is the best there is, or next to it."""
    found = sorted(
        (
            (_alike(a, b, skeleton, asked.kind), i, j)
            for i, a in enumerate(asked.words)
            for j, b in enumerate(listed.words)
        ),
        key=lambda each: (-each[0], abs(each[1] - each[2])),
    )
    taken: set[int] = set()
    used: set[int] = set()
    pairs = []
    for alike, i, j in found:
        if alike < _ALIKE:
            break
        if i not in taken and j not in used:
            taken.add(i)
            used.add(j)
            pairs.append(Pair(asked.words[i], listed.words[j], alike))
    # Initials alone name nobody.
    return tuple(pairs) if any(min(len(pair.asked), len(pair.listed)) > 1 for pair in pairs) else ()


def _alike(a: str, b: str, skeleton: bool, kind: NameKind) -> float:
    if a == b:
        return 1.0
    if a.isdigit() or b.isdigit():
        return 0.0
    if min(len(a), len(b)) == 1:  # an initial stands for a name, but says little
        return 0.85 if kind is NameKind.PERSON and a[0] == b[0] else 0.0
    if skeleton and len(bones := skeleton_of(a)) >= _SHORT and bones == skeleton_of(b):
        return 0.95
    longer = max(len(a), len(b))
    # Typing errors seldom touch more than one letter in four; beyond that two words are only similar, which is nothing.
    most = 1 if longer <= _SHORT else 1 + longer // 4
    if abs(len(a) - len(b)) > most or (edits := DamerauLevenshtein.distance(a, b, score_cutoff=most)) > most:
        return 0.0
    if longer <= _SHORT:
        return 0.8 if longer == _SHORT else 0.0
    by_edits = 1 - edits / longer
    return max(by_edits, (by_edits + JaroWinkler.similarity(a, b)) / 2)


def _share(asked: Name, listed: Name, pairs: tuple[Pair, ...]) -> float:
    weight = {id(p): len(p.asked) + len(p.listed) for p in pairs}
    paired = sum(weight.values())
    if not paired:
        return 0.0
    mean = sum(p.alike * weight[id(p)] for p in pairs) / paired
    missing = sum(map(len, _left(listed.words, [p.listed for p in pairs])))
    extra = sum(map(len, _left(asked.words, [p.asked for p in pairs])))
    return mean * (paired / (paired + _cost(asked, listed, pairs, missing, extra)))


def _cost(asked: Name, listed: Name, pairs: tuple[Pair, ...], missing: int, extra: int) -> float:
    """What unpaired letters cost: little where one name is the other with more given names, much where both differ."""
    if missing and extra:
        return 1.6 * (missing + extra)
    full = min(len(asked.words), len(listed.words))
    whole = asked.kind is NameKind.PERSON and full >= 2 and len(pairs) == full
    return (0.2 if whole else 0.9) * (missing + extra)


def _joined(asked: Name, listed: Name) -> float:
    """Compare without spaces, for words that were run together or split: only where the numbers of words differ."""
    a, b = asked.joined, listed.joined
    if len(asked.words) == len(listed.words) or min(len(a), len(b)) < 2 * _SHORT:
        return 0.0
    return max(_same_letters(a, b), _same_letters("".join(sorted(asked.words)), "".join(sorted(listed.words))))


def _same_letters(a: str, b: str) -> float:
    return 1 - DamerauLevenshtein.distance(a, b) / max(len(a), len(b))


def _left(words: tuple[str, ...], used: list[str]) -> tuple[str, ...]:
    remaining = list(used)
    left = []
    for word in words:
        if word in remaining:
            remaining.remove(word)
        else:
            left.append(word)
    return tuple(left)
