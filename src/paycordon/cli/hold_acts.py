"""`paycordon hold place` and `paycordon hold release`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, moment, print_proposed, said, wish_of
from paycordon.cli.inputs import checked
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from paycordon.cli.output import print_json, print_line, print_note, progressing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from paycordon.config import Config
    from paycordon.decisions import Scope
    from paycordon.people import Person
    from paycordon.review.bulk import Selection, Summary
    from paycordon.store import Store
    from paycordon.store.holds import Hold, NewHold

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say how many it would be, and do nothing.")]


def release(
    by: ByOption,
    reason: ReasonOption,
    hold_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The hold; for several say which by an option.")
    ] = None,
    case: Annotated[str | None, typer.Option(help="All holds on the merchant of this case.")] = None,
    merchant: Annotated[str | None, typer.Option(help="All holds on this merchant.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="POLICY/RULE", help="All holds that this rule placed.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only those placed from then on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only those placed before then.")] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Release a hold, or many: workers then make the gateways agree with what still holds.

    A hold that rests on the coalition's knowledge takes two people: its release is proposed (exit code 1).
    """
    from paycordon.review.bulk import Selection

    why = said(reason)
    start, end = (None if each is None else moment(each, "--since") for each in (since, until))
    several = Selection(case, merchant, rule, start, end)
    checked("name one hold, or several by `--case`, `--merchant` or `--rule`", _is_clear(hold_id, several))
    checked("not asking without a terminal; confirm with `--yes`", yes or dry_run or (_asks() and not as_json))
    with at_work(config, by) as (read, store, person):
        if hold_id is not None and not dry_run:
            return _release_one(read, store, person, hold_id, why, yes, as_json)
        return _release_many(read, store, person, hold_id or several, why, (yes, dry_run, as_json))


def place(
    by: ByOption,
    reason: ReasonOption,
    merchant_reason: Annotated[
        str, typer.Option(metavar="CODE", help="What the merchant hears: a neutral code, as policies have it.")
    ],
    merchant: Annotated[str | None, typer.Option(help="Hold this merchant, at every gateway.")] = None,
    account: Annotated[str | None, typer.Option(metavar="INSTANCE/ACCOUNT", help="Hold one account.")] = None,
    outcome: Annotated[str, typer.Option(help="`hold`, or `block`.")] = "hold",
    scope: Annotated[
        str | None,
        typer.Option(help="What it stops: `outflow`, `payouts`, `charges` (and payouts) or `onboarding`."),
    ] = None,
    amount: Annotated[
        str | None, typer.Option(metavar="'1234 EUR'", help="What is held, in minor units, where that is known.")
    ] = None,
    review_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it is looked at again; a block without takes two people.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Place a hold by hand. It stands until a person releases it; a block without a review date takes two people."""
    from paycordon.review.proposals import place as place_hold
    from paycordon.store.proposals import Proposal

    why, again = said(reason), None if review_at is None else moment(review_at, "--review-at")
    checked("name a merchant or an account", (merchant is None) != (account is None))
    with at_work(config, by) as (read, store, person):
        wish = wish_of(read, person, why)
        checked("`--review-at` must be in the future", again is None or again > wish.now)
        with store.write() as connection:
            wanted = _wanted(connection, (merchant, account), outcome, scope, merchant_reason, amount)
            came = place_hold(connection, wanted, wish, review_at=again)
    if isinstance(came, Proposal):
        return print_proposed(came, as_json)
    if as_json:
        print_json(asdict(came))
    else:
        print_line(f"placed {came.id}: {came.outcome} on {came.subject_kind} {came.subject_id}")
        print_line("a worker (`paycordon work`) makes the gateways agree")
    return 0


def _wanted(
    connection: Connection,
    on: tuple[str | None, str | None],
    outcome: str,
    scope: str | None,
    merchant_reason: str,
    amount: str | None,
) -> NewHold:
    from paycordon.decisions import Outcome, Scope
    from paycordon.store.holds import NewHold, Source, subject_of

    checked("`--outcome` is `hold` or `block`", outcome in ("hold", "block"))
    usual = Scope.CHARGES if outcome == "block" else Scope.PAYOUTS
    known = ("outflow", "payouts", "charges", "onboarding")
    checked("`--scope` is `outflow`, `payouts`, `charges` or `onboarding`", scope is None or scope in known)
    _check_code(merchant_reason)
    merchant, instance, account, kind, subject = subject_of(connection, *on)
    held, currency = _amount(amount)
    return NewHold(
        merchant=merchant,
        instance=instance,
        account=account,
        subject_kind=kind,
        subject_id=subject,
        outcome=Outcome(outcome),
        scope=_scope(scope) or usual,
        rule="paycordon/by_hand",
        merchant_reason=merchant_reason,
        source=Source.PERSON,
        amount=held,
        currency=currency,
    )


def _scope(name: str | None) -> Scope | None:
    from paycordon.decisions import Scope

    return None if name is None else Scope(name)


def _check_code(code: str) -> None:
    import re

    told = "`--merchant-reason` is a neutral code of lower-case letters, digits and `_`, such as `review_pending`"
    checked(told, re.fullmatch(r"[a-z][a-z0-9_]{0,63}", code) is not None)


def _amount(text: str | None) -> tuple[int | None, str | None]:
    import re

    if text is None:
        return None, None
    found = re.fullmatch(r"(\d{1,15}) ([A-Z]{3})", text.strip())
    checked("`--amount` is a whole number of minor units and a currency, such as `1234 EUR`", found is not None)
    return (int(found[1]), found[2]) if found else (None, None)


def _is_clear(hold_id: str | None, several: Selection) -> bool:
    chosen = any(each is not None for each in (several.case, several.merchant, several.rule))
    bounded = several.since is not None or several.until is not None
    return chosen if hold_id is None else not (chosen or bounded)


def _asks() -> bool:
    return sys.stdin.isatty()


def _release_one(config: Config, store: Store, person: Person, hold_id: str, why: str, yes: bool, as_json: bool) -> int:
    from paycordon.review.proposals import release as release_hold
    from paycordon.store.holds import get
    from paycordon.store.proposals import Proposal

    with store.read() as connection:
        hold = get(connection, hold_id)
    if not yes:
        question = f"release {hold.outcome} on {hold.subject_kind} {hold.subject_id} of {hold.merchant}?"
        checked("not released", typer.confirm(question, err=True))
    with store.write() as connection:
        came = release_hold(connection, hold_id, wish_of(config, person, why))
    if isinstance(came, Proposal):
        return print_proposed(came, as_json)
    _print_released(came, as_json)
    return 0


def _print_released(hold: Hold, as_json: bool) -> None:
    if as_json:
        print_json(asdict(hold))
        return
    print_line(f"released {hold.id}")
    print_line("a worker (`paycordon work`) restores the accounts that nothing else holds")


def _release_many(
    config: Config, store: Store, person: Person, wanted: str | Selection, why: str, how: tuple[bool, bool, bool]
) -> int:
    from paycordon.people import Role
    from paycordon.review.bulk import release_each

    yes, dry_run, as_json = how
    person.require(Role.ANALYST)
    with store.read() as connection:
        ids, of_two = _found(connection, wanted)
    if dry_run:
        _print_dry(ids, of_two, as_json)
        return 0
    if ids and not yes:
        checked("not released", typer.confirm(f"release {len(ids)} holds ({len(of_two)} by two people)?", err=True))
    with progressing("releasing", len(ids)) as told:
        summary = release_each(store, ids, lambda: wish_of(config, person, why), told)
    _print_summary(summary, as_json)
    return 1 if summary.proposed or summary.refused else 0


def _found(connection: Connection, wanted: str | Selection) -> tuple[Sequence[str], Sequence[str]]:
    """Return the holds that are meant, and those of them whose release takes two people."""
    from paycordon.review.bulk import selected
    from paycordon.store.holds import get

    ids = [wanted] if isinstance(wanted, str) else selected(connection, wanted)
    return ids, [each for each in ids if get(connection, each).two_people]


def _print_dry(ids: Sequence[str], of_two: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, "holds": list(ids), "two_people": list(of_two)})
    else:
        print_line(f"{len(ids)} holds would be released, {len(of_two)} of them only proposed: they take two people")
        print_line("nothing was done; without `--dry-run` it is")


def _print_summary(summary: Summary, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    total = len(summary.released) + len(summary.proposed) + len(summary.refused)
    if not total:
        print_line("no hold in force is meant; `paycordon hold list` shows what is held")
        return
    print_line(f"{len(summary.released)} of {total} released")
    if summary.proposed:
        print_line(f"{len(summary.proposed)} proposed: they take two people; see `paycordon proposal list`")
    for id_, told in summary.refused.items():
        print_note(f"not released: {id_}: {told}")
