"""Honest merchants of many kinds, among them those whom rules hit most easily for no good reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from paycordon.portfolio.life import DAYS, EURO, RECEIVING, SENDING, Life, Payer


@dataclass(frozen=True)
class Habit:
    """How a merchant is paid.

    Attributes:
        per_day: payments on a day, on average.
        amounts: draws one.
        countries: where its payers are.
        regulars: how many people come again and again, and `loyal` the share of payments that are theirs.
        hour, spread: when they pay, by their own clock: mean and standard deviation.
        every: days between two payouts.
        by_hand: whether the merchant asks for its payouts itself; a third of these want them at once.
        refunds, disputes: shares of the payments.
    """

    per_day: float
    amounts: Callable[[Random], float]
    countries: Sequence[str]
    regulars: int = 0
    loyal: float = 0.0
    hour: float = 15
    spread: float = 3
    every: int = 7
    by_hand: bool = False
    refunds: float = 0.01
    disputes: float = 0.002


def crowd(life: Life, size: int, countries: Sequence[str]) -> list[Payer]:
    """People who come again."""
    return [Payer(f"{life.id} regular {n}", life.random.choice(countries)) for n in range(size)]


def stranger(life: Life, country: str) -> Payer:
    """Somebody who was never here before."""
    return Payer(f"{life.id} {life.random.getrandbits(36):x}", country)


def live(life: Life, habit: Habit, first: float = 0, last: float = DAYS) -> None:
    """Take payments and be paid out from one day to another."""
    random = life.random
    regulars = crowd(life, habit.regulars, habit.countries)
    instant = habit.by_hand and hash_of(life) % 3 == 0
    for day in range(max(0, int(first), int(life.opened) + 1), int(last)):
        for _ in range(_number(random, habit.per_day)):
            _sell(life, habit, day, regulars)
        if day % habit.every == hash_of(life) % habit.every:
            life.payout(
                day + (random.uniform(0.4, 0.9) if habit.by_hand else 0.98), by_hand=habit.by_hand, instant=instant
            )


def _sell(life: Life, habit: Habit, day: int, regulars: Sequence[Payer]) -> None:
    random = life.random
    known = regulars and random.random() < habit.loyal
    payer = random.choice(regulars) if known else stranger(life, random.choice(habit.countries))
    amount = habit.amounts(random)
    at = life.pay(day, amount, payer, random.gauss(habit.hour, habit.spread) % 24)
    if random.random() < habit.refunds:
        life.refund(at + random.uniform(1, 10), amount, payer)
    elif random.random() < habit.disputes:
        life.dispute(at + random.uniform(10, 40), amount, payer, random.choice(("product_not_received", "general")))


def _number(random: Random, mean: float) -> int:
    whole = int(mean)
    return whole + (random.random() < mean - whole) if random.random() < 0.8 else random.randrange(2 * whole + 2)


def hash_of(life: Life) -> int:
    """A number of the merchant that is the same in each process."""
    return sum(life.id.encode())


def of(*amounts: float) -> Callable[[Random], float]:
    """Draw one of these."""
    return lambda random: random.choice(amounts)


def between(low: float, high: float) -> Callable[[Random], float]:
    """Draw any, the small ones more often."""
    return lambda random: round(low * (high / low) ** random.random(), 2)


def _abroad(life: Life) -> list[str]:
    return [country for country in SENDING if country != life.country]


def shop(life: Life) -> None:
    """Sells things, to its own country and some others."""
    live(life, Habit(1.5, between(8, 180), (life.country,) * 6 + ("DE", "GB", "US"), every=7, refunds=0.05))


def cafe(life: Life) -> None:
    """Small amounts of regulars, by day."""
    live(life, Habit(2, between(3, 30), (life.country,), regulars=40, loyal=0.6, hour=12, every=1, disputes=0))


def family_abroad(life: Life) -> None:
    """Families send money home through it: large and even amounts, the same people every month, in the evening."""
    habit = Habit(0.9, of(50, 80, 100, 120, 150, 200, 250, 300), _abroad(life), regulars=25, loyal=0.9, hour=20)
    live(life, replace(habit, spread=2.5, every=2, by_hand=True, refunds=0, disputes=0))


def adult(life: Life) -> None:
    """Lawful adult entertainment: small amounts from everywhere, at night, many of them the same people's."""
    habit = Habit(1.5, of(4.99, 9.99, 9.99, 14.99, 19.99, 24.99, 50), SENDING, regulars=40, loyal=0.5, hour=23.5)
    live(life, replace(habit, spread=2.5, disputes=0.008))


def charity(life: Life) -> None:
    """Even amounts of many people once a month, and of many more in a campaign."""
    habit = Habit(1, of(10, 20, 25, 50, 100), (life.country,) * 8 + SENDING, regulars=30, loyal=0.4, every=7)
    campaign = life.random.randrange(20, 90)
    live(life, habit, last=campaign)
    live(life, replace(habit, per_day=6), campaign, campaign + 10)
    live(life, habit, campaign + 10)


def creator(life: Life) -> None:
    """Tips and subscriptions of fans abroad, in the evening and at night; paid out when there is something."""
    habit = Habit(1.4, of(3, 5, 5, 7.5, 10, 15, 20, 50), SENDING, regulars=30, loyal=0.6, hour=21.5, spread=3)
    live(life, replace(habit, every=5, by_hand=life.random.random() < 0.5, disputes=0.004))


def tutor(life: Life) -> None:
    """Teaches pupils abroad: the same amount of the same people each week, in their evening."""
    price = life.random.choice((15, 18, 20, 22.5, 25, 30, 40))
    habit = Habit(1, of(price, price, price, price * 2), _abroad(life), regulars=8, loyal=0.95, hour=17, spread=2.5)
    live(life, replace(habit, every=3, by_hand=True, disputes=0))


def seller(life: Life) -> None:
    """Sells on a marketplace, every day and to all sides; half of them ask for their money daily."""
    habit = Habit(2, between(5, 90), (life.country,) * 3 + SENDING, hour=18, spread=4, refunds=0.06, disputes=0.004)
    live(life, replace(habit, every=1 if life.random.random() < 0.5 else 7))


def hotel(life: Life) -> None:
    """Large amounts of strangers from everywhere, at any hour."""
    live(life, Habit(1, between(60, 900), SENDING + EURO, hour=14, spread=6, refunds=0.08, every=7))


def dormant(life: Life) -> None:
    """Does nothing for two months, and then goes on."""
    pause = life.random.randrange(15, 40)
    habit = Habit(1.2, between(10, 120), (life.country,), refunds=0.03)
    live(life, habit, last=pause)
    live(life, habit, first=pause + 60)


def seasonal(life: Life) -> None:
    """Earns its year in five weeks."""
    season = life.random.randrange(0, 80)
    habit = Habit(0.2, between(15, 150), (life.country,) * 4 + ("DE", "GB"), hour=13)
    live(life, habit, last=season)
    live(life, replace(habit, per_day=6, every=1), season, season + 35)
    live(life, habit, season + 35)


def night_shop(life: Life) -> None:
    """Delivers food until four in the morning."""
    live(life, Habit(2, between(10, 45), (life.country,), regulars=30, loyal=0.4, hour=0.5, spread=2.5, every=1))


def massage(life: Life) -> None:
    """A lawful studio: by appointment, by day and in the evening, round prices."""
    habit = Habit(1.3, of(45, 60, 75, 90), (life.country,), regulars=40, loyal=0.5, hour=16, spread=3, every=7)
    live(life, replace(habit, disputes=0))


Kind = Callable[[Life], None]
ANYWHERE = (*EURO, "GB", "US", "AU", "CA", "SG")
OF: Mapping[str, tuple[Kind, int, Sequence[str], str]] = {
    "shop": (shop, 110, (*ANYWHERE, "PH", "IN", "RO", "BR"), "5945"),
    "cafe": (cafe, 45, (*ANYWHERE, "PH", "TH", "RO"), "5814"),
    "family-abroad": (family_abroad, 60, RECEIVING, "4829"),
    "adult-lawful": (adult, 45, (*ANYWHERE, "RO", "CO", "PH"), "5967"),
    "charity": (charity, 40, (*ANYWHERE, "PH", "KE", "IN"), "8398"),
    "creator": (creator, 60, (*ANYWHERE, *RECEIVING), "5815"),
    "tutor": (tutor, 60, RECEIVING, "8299"),
    "marketplace-seller": (seller, 50, (*ANYWHERE, *RECEIVING), "5999"),
    "hotel": (hotel, 30, (*ANYWHERE, "PH", "TH", "MX"), "7011"),
    "dormant": (dormant, 30, (*ANYWHERE, "RO"), "5941"),
    "seasonal": (seasonal, 30, (*ANYWHERE, "BR"), "7999"),
    "night-shop": (night_shop, 25, (*ANYWHERE, "PH", "TH"), "5812"),
    "massage-lawful": (massage, 30, (*ANYWHERE, "TH", "PH"), "7297"),
}
"""By kind: how it lives, how many there are at scale 1, in which countries, and its merchant category."""
