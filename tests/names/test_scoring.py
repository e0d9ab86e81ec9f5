"""Which names are alike, which are not, and that the reason given is the arithmetic. All names are invented."""

from __future__ import annotations

import pytest

from paycordon.names.scoring import score
from paycordon.names.words import MAX_WORDS, NameKind, read

PERSON, ORGANISATION = NameKind.PERSON, NameKind.ORGANISATION

ALIKE = [
    (PERSON, "Tomasin Verlaek", "Tomasin Verlaek"),
    (PERSON, "Verlaek, Tomasin", "Tomasin Verlaek"),
    (PERSON, "Tomasin Verlaak", "Tomasin Verlaek"),
    (PERSON, "Tomsain Verlaek", "Tomasin Verlaek"),
    (PERSON, "TomasinVerlaek", "Tomasin Verlaek"),
    (PERSON, "Mr. Tomasin Verlaek", "Tomasin Verlaek"),
    (PERSON, "Tomasin Aurelio Verlaek", "Tomasin Verlaek"),
    (PERSON, "T. Verlaek", "Tomasin Verlaek"),
    (PERSON, "Tòmasîn Verlæk", "Tomasin Verlaek"),
    (PERSON, "\u04220masin Verlaek", "Tomasin Verlaek"),  # a Cyrillic letter and a digit that look like Latin ones
    (PERSON, "Томасин Верлаек", "Tomasin Verlaek"),
    (PERSON, "Dorveth Ben Kalimar", "Dorveth bin Kalimar"),
    (ORGANISATION, "Brundelo Trading Ltd.", "BRUNDELO TRADING LIMITED"),
    (ORGANISATION, "Brundelo Trading GmbH", "Gesellschaft mit beschränkter Haftung Brundelo Trading"),
    (ORGANISATION, "B.T.K. Company", "BTK Co."),
    (ORGANISATION, "1st Brundelo Bank", "First Brundelo Bank"),
    (ORGANISATION, "Brundelo Int'l", "Brundelo International"),
    (ORGANISATION, "Brun Delo Shops", "Brundelo Shops"),
]
DIFFERENT = [
    (PERSON, "Tomasin Verlaek", "Orvelle Verlaek"),
    (PERSON, "Tomasin Verlaek", "Tomasin Quistorn"),
    (PERSON, "Tomasin Aurelio Verlaek", "Tomasin Bertrando Verlaek"),
    (PERSON, "A. Verlaek", "Tomasin Verlaek"),
    (PERSON, "T. V.", "Tomasin Verlaek"),
    (ORGANISATION, "Brundelo Trading Ltd", "Brundelo Shipping Ltd"),
    (ORGANISATION, "Fund 12 Brundelo", "Fund 13 Brundelo"),
    (ORGANISATION, "Limited", "Brundelo Limited"),
]


@pytest.mark.parametrize(("kind", "asked", "listed"), ALIKE)
def test_alike(kind: NameKind, asked: str, listed: str) -> None:
    assert score(read(asked, kind), read(listed, kind)).value >= 80


@pytest.mark.parametrize(("kind", "asked", "listed"), DIFFERENT)
def test_different(kind: NameKind, asked: str, listed: str) -> None:
    assert score(read(asked, kind), read(listed, kind)).value < 80


@pytest.mark.parametrize(("kind", "asked", "listed"), ALIKE + DIFFERENT)
def test_it_does_not_matter_who_is_asked_about(kind: NameKind, asked: str, listed: str) -> None:
    one, other = read(asked, kind), read(listed, kind)
    assert score(one, other).value == score(other, one).value


@pytest.mark.parametrize("hostile", ["", "   ", "...", "()[]{}*+?", "\u202e\u0000", "x" * 100_000, "a " * 50_000, "🙂"])
def test_odd_texts_are_read_and_like_nothing(hostile: str) -> None:
    name = read(hostile, PERSON)
    assert len(name.words) <= MAX_WORDS
    assert score(name, read("Tomasin Verlaek", PERSON)).value < 80


def test_the_explanation_names_the_listed_words_and_never_those_of_the_person_asked_about() -> None:
    found = score(read("Tomasin Verlaak Quistorn", PERSON), read("Tomasin Aurel Verlaek", PERSON))
    assert found.explained() == (
        "the same: tomasin; alike: verlaek (90%); only on the list: aurel; only in the name asked about: 1 words"
    )
    joined = score(read("TomasinVerlaek Xy", PERSON), read("Tomasinverlaek", PERSON))
    assert "quistorn" not in found.explained()
    assert "letters agree" in joined.explained() or "the same" in joined.explained()
