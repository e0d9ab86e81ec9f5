"""Planted patterns: shapes of payments that the publications behind the packs describe.

Some of each pattern are careful, and lack a sign or two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from paycordon.portfolio.honest import ANYWHERE, Habit, between, live, stranger
from paycordon.portfolio.life import DAYS, RECEIVING, SENDING, Life, Payer


def on_demand(life: Life, _: str) -> None:
    """Abuse to order, streamed: few people abroad pay small even amounts at their night, again, more, and sooner.

    FATF (2025): 10 to 200 EUR, even amounts, repeated, late at night. AUSTRAC: small sums every few weeks at first,
    then more and more often. AIC no. 634: gaps below 20 days. The money leaves at once.
    """
    random = life.random
    odd, patient, by_day = (random.random() < share for share in (0.2, 0.25, 0.1))
    due: list[tuple[float, int, Payer, float]] = []
    for number in range(random.randrange(7, 16)):
        payer = Payer(f"{life.id} {number}", random.choice(SENDING))
        at, gap, amount = (
            max(0.0, life.opened) + random.uniform(1, 30),
            random.uniform(9, 18),
            random.choice((20.0, 30.0)),
        )
        while at < DAYS:
            due.append((at, number, payer, amount))
            at += gap * random.uniform(0.7, 1.3)
            gap, amount = max(2.0, gap * 0.82), min(200, amount + random.choice((0, 10, 10, 20)))
    last = -9.0
    for at, _number, payer, amount in sorted(due):
        hour = random.uniform(9, 20) if by_day else random.choice((22.4, 23.2, 0.5, 1.4, 2.3, 3.6, 4.5))
        life.pay(at, amount - random.choice((1, 2, 3)) if odd else amount, payer, hour)
        if at - last > (7 if patient else 2):
            last = at
            life.payout(int(at) + 1.9, share=0.97, by_hand=not patient, instant=not patient)


def extortion(life: Life, _: str) -> None:
    """Sextortion: people who know nobody here pay several times within a day or two, and never again.

    FATF (2025): up to 1,500 EUR each, first demand below 250, several fast payments, then a stop. FIN-2025-NTC2:
    bursts, new accounts, cashed out at once. Some payers dispute weeks later.
    """
    random = life.random
    patient = random.random() < 0.25
    day = max(0.0, life.opened) + 1
    number = 0
    while day < min(DAYS, life.opened + 55):
        number += 1
        payer = Payer(f"{life.id} {number}", random.choice(("US", "GB", "CA", "AU", "DE")))
        hour, total = random.uniform(15, 21), 0.0
        demands = random.randrange(2, 7)
        for demand in range(demands):
            amount = min(float(random.choice((50, 80, 100, 150, 200))) * (1 + demand / 3) // 5 * 5, 1_480 - total)
            if amount > 0:
                total += amount
                life.pay(day + (hour + demand * 5) // 24, amount, payer, (hour + demand * 5) % 24)
        life.payout(int(day) + 2.2, share=0.97, by_hand=not patient, instant=not patient)
        if random.random() < 0.35:
            life.dispute(day + random.uniform(18, 35), amount, payer, "fraudulent")
        day += random.uniform(0.8, 2.5)


def front(life: Life, group: str) -> None:
    """Trafficking: one of several fronts, paid at night, far beyond its hours, and emptied into one account.

    FIN-2020-A008: front companies, funnel accounts, takings outside of opening hours, identifiers in common.
    """
    random = life.random
    patient = random.random() < 0.25
    life.bank = f"{group} account" if random.random() < 0.8 else f"{life.id} account"
    for day in range(int(max(0, life.opened)) + 1, DAYS):
        for _ in range(random.choice((1, 2, 2, 3))):
            payer, amount = stranger(life, life.country), random.choice((80, 100, 120, 150, 160, 200))
            life.pay(day, amount, payer, random.choice((22.2, 23, 23.5, 0.5, 1.5, 2.5, 3.5, 20)))
        if day % 2:
            life.payout(day + 0.5, share=0.98, by_hand=not patient, instant=not patient)


def bust_out(life: Life, _: str) -> None:
    """Sells little and well for two months, then ten times as much, is paid out at once, and delivers nothing."""
    turn = int(max(0.0, life.opened)) + life.random.randrange(50, 60)
    live(life, Habit(0.7, between(10, 60), (life.country,), every=7), last=turn)
    random = life.random
    for day in range(turn, min(DAYS, turn + 14)):
        for number in range(random.randrange(5, 10)):
            payer = Payer(f"{life.id} {day} {number}", random.choice((life.country, "US", "DE")))
            amount = float(random.randrange(90, 400))
            at = life.pay(day, amount, payer, random.uniform(8, 23))
            if random.random() < 0.3:
                life.dispute(at + random.uniform(6, 20), amount, payer, random.choice(("fraudulent", "general")))
        life.payout(day + 0.95, by_hand=True, instant=True)


def member(life: Life, group: str) -> None:
    """One of a network: several merchants opened within weeks, with the same device, telephone and bank account."""
    life.bank = f"{group} account"
    life.onboard(shared=(("device", f"{group} device"), ("phone", f"+44 20 7946 0{100 + sum(group.encode()) % 900}")))
    live(life, Habit(0.8, between(10, 90), (*SENDING, life.country), every=3, by_hand=True))


def robbed(life: Life, _: str) -> None:
    """Account taken over: an honest shop, then another bank account, and all of its money within hours."""
    day = life.random.randrange(40, 110)
    live(life, Habit(1.5, between(20, 200), (life.country,), every=14), last=day)
    life.change_bank(day + 0.3, f"{life.id} thief")
    life.payout(day + 0.45, by_hand=True, instant=True)


Kind = Callable[[Life, str], None]
Age = Callable[[Random], float]


def _new(random: Random) -> float:
    return -random.uniform(0, 55)


def _young(random: Random) -> float:
    return -random.uniform(0, 30)


def _old(random: Random) -> float:
    return random.uniform(60, 900)


OF: Mapping[str, tuple[Kind, int, Sequence[str], Sequence[str], Age, int]] = {
    "abuse-on-demand": (on_demand, 14, (*RECEIVING, "PH", "PH"), ("8299", "5815", "4829", "7299"), _new, 1),
    "extortion-then-stop": (extortion, 14, ("NG", "PH", "GB", "US", "NL", "KE"), ("5815", "7299", "4829"), _new, 1),
    "trafficking-front": (front, 16, ("US", "GB", "NL", "DE", "CA"), ("7297", "7298", "7299"), _young, 4),
    "bust-out": (bust_out, 10, ANYWHERE, ("5732", "5945", "5999"), _young, 1),
    "shared-network": (member, 20, (*ANYWHERE, "RO"), ("5999", "7399", "5815"), _new, 5),
    "taken-over": (robbed, 12, ANYWHERE, ("5945", "5812", "5999"), _old, 1),
}
"""By pattern: how it lives, how many at scale 1, countries, categories, age of the account, and size of its groups."""
