"""The portfolio as a whole: who is in it, and all that happens, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from pydantic_core import to_json

from paycordon.errors import ConfigError
from paycordon.events import Event
from paycordon.portfolio import honest, planted
from paycordon.portfolio.life import Life, Line

HONEST = tuple(honest.OF)
PLANTED = tuple(planted.OF)
MOST = 50
_MOVES = 0.04  # of honest merchants, who have another bank account one day
_YOUNG = 0.25  # of honest merchants, who open within the time
_SHARES = 0.06  # of honest merchants, whose telephone is that of a relative or an accountant
_WALLETS = 0.02, 0.3  # of honest and of planted merchants, who are paid out in virtual currency
_KNOWN = 0.25  # of planted merchants, of whom the coalition knows something
_WRONGLY_KNOWN = 0.005  # of honest merchants


@dataclass(frozen=True, slots=True)
class Label:
    """What a merchant of the portfolio is; `kind` is one of `HONEST` or `PLANTED`."""

    merchant: str
    kind: str
    planted: bool
    country: str


class Portfolio:
    """Synthetic merchants and their events over 120 days.

    Args:
        seed: the same seed and scale give the same events.
        scale: how many times the usual number of merchants; 1 is about 700 merchants and 100,000 events.

    Attributes:
        lines: all events as JSON-like values, in the order in which they happen.
        labels: what each merchant is.
        indicators: what the coalition knows: a confidence from 0 to 100, by kind and value of the identifier.
        blocked: merchants that were terminated before the others of their network came.

    Raises:
        ConfigError: the scale is not within 0.05 and 50. All events are kept in memory, at scale 1 about 0.2 GB.
    """

    def __init__(self, seed: int = 1, scale: float = 1.0) -> None:
        if not 0.05 <= scale <= MOST:
            raise ConfigError(f"a portfolio has a scale between 0.05 and {MOST}, not {scale}")
        self.seed = seed
        self.scale = scale
        self.labels: dict[str, Label] = {}
        self.indicators: dict[tuple[str, str], int] = {}
        self.blocked: set[str] = set()
        every = [line for life in self._lives() for line in self._known(life).lines]
        every.sort(key=lambda line: (line["occurred_at"], line["id"]))
        self.lines: tuple[Line, ...] = tuple(every)

    def events(self) -> Iterator[Event]:
        """All events, validated, in the order in which they happen."""
        return (Event.model_validate_json(to_json(line)) for line in self.lines)

    def _lives(self) -> Iterator[Life]:
        for kind, (live, many, countries, mcc) in honest.OF.items():
            for number in range(self._many(many)):
                random = self._random(kind, number)
                life = self._life(random, kind, number, False, (random.choice(countries), mcc, _age(random)))
                life.onboard(shared=_family(random, kind, number))
                if random.random() < _MOVES:
                    life.moves_on = random.uniform(20, 110)
                live(life)
                yield life
        for pattern, (live_so, many, countries, mccs, age, size) in planted.OF.items():
            for number in range(-(-self._many(many) // size) * size):
                random = self._random(pattern, number)
                group = self._random(pattern, f"group {number // size}")
                place = group.choice(countries) if size > 1 else random.choice(countries)
                whose = (place, random.choice(mccs), age(random))
                life = self._life(random, pattern, number, True, whose)
                live_so(life, f"{pattern} group {number // size}")
                if not any(line["type"] == "merchant.onboarding" for line in life.lines):
                    life.onboard()
                yield life

    def _known(self, life: Life) -> Life:
        label = self.labels[life.id]
        random = self._random("known", life.id)
        if life.told and random.random() < (_KNOWN if label.planted else _WRONGLY_KNOWN):
            self.indicators[random.choice(life.told)] = random.randrange(40, 96) if label.planted else 30
        if label.kind == "shared-network" and life.id.endswith(("-0", "-10")):
            self.blocked.add(life.id)
        return life

    def _many(self, usual: int) -> int:
        return max(1, round(usual * self.scale))

    def _random(self, kind: str, number: object) -> Random:
        return Random(f"{self.seed}/{kind}/{number}")  # noqa: S311 - made to be repeated

    def _life(self, random: Random, kind: str, number: int, planted_: bool, whose: tuple[str, str, float]) -> Life:
        country, mcc, age = whose
        merchant = f"{kind}-{number}"
        self.labels[merchant] = Label(merchant, kind, planted_, country)
        life = Life(random, merchant, country, mcc, age)
        life.wallet = self._random("wallet", merchant).random() < _WALLETS[planted_]
        return life


def _age(random: Random) -> float:
    return -random.uniform(0, 80) if random.random() < _YOUNG else random.uniform(30, 1_500)


def _family(random: Random, kind: str, number: int) -> tuple[tuple[str, str], ...]:
    if random.random() < _SHARES:
        return (("phone", f"+44 20 7946 1{100 + number // 2 % 900} {kind}"),)
    return ()
