"""The command line. It parses, calls and prints; the work is done elsewhere.

Exit codes: 0 fine, 1 findings (something is held, broken or unhealthy), 2 usage or configuration, 3 a fault of
Paycordon itself, 130 interrupted. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import typer

from paycordon.cli.root import Root

# Command, module, function. A space in the command makes a group.
COMMANDS = (
    ("init", "paycordon.cli.init", "init"),
    ("doctor", "paycordon.cli.doctor", "doctor"),
    ("plugins", "paycordon.cli.plugins", "plugins"),
    ("screen", "paycordon.cli.screen", "screen"),
    ("serve", "paycordon.cli.serve", "serve"),
    ("work", "paycordon.cli.work", "work"),
    ("policy lint", "paycordon.cli.policy_lint", "lint"),
    ("policy test", "paycordon.cli.policy_test", "test"),
    ("policy explain", "paycordon.cli.policy_explain", "explain"),
    ("policy backtest", "paycordon.cli.policy_backtest", "backtest"),
    ("policy diff", "paycordon.cli.policy_backtest", "diff"),
    ("policy packs", "paycordon.cli.policy_packs", "packs"),
    ("policy install", "paycordon.cli.policy_packs", "install"),
    ("policy rates", "paycordon.cli.policy_rates", "rates"),
    ("policy status", "paycordon.cli.policy_status", "status"),
    ("policy keygen", "paycordon.cli.policy_approval", "keygen"),
    ("policy sign", "paycordon.cli.policy_approval", "sign"),
    ("policy approve", "paycordon.cli.policy_approval", "approve"),
    ("policy history", "paycordon.cli.policy_approval", "history"),
    ("policy rollback", "paycordon.cli.policy_approval", "rollback"),
    ("policy schema", "paycordon.cli.policy_schema", "schema"),
    ("list add", "paycordon.cli.lists", "add"),
    ("list show", "paycordon.cli.lists", "show"),
    ("list remove", "paycordon.cli.lists", "remove"),
    ("hold list", "paycordon.cli.hold", "list_holds"),
    ("hold show", "paycordon.cli.hold", "show"),
    ("hold place", "paycordon.cli.hold_acts", "place"),
    ("hold release", "paycordon.cli.hold_acts", "release"),
    ("case list", "paycordon.cli.case", "list_cases"),
    ("case show", "paycordon.cli.case", "show"),
    ("case take", "paycordon.cli.case_many", "take"),
    ("case assign", "paycordon.cli.case_many", "assign"),
    ("case note", "paycordon.cli.case_acts", "note"),
    ("case attach", "paycordon.cli.case_acts", "attach"),
    ("case uphold", "paycordon.cli.case_many", "uphold"),
    ("case release", "paycordon.cli.case_acts", "release"),
    ("case block", "paycordon.cli.case_acts", "block"),
    ("case request-information", "paycordon.cli.case_acts", "request_information"),
    ("case escalate", "paycordon.cli.case_acts", "escalate"),
    ("case refer", "paycordon.cli.case_acts", "refer"),
    ("case resume", "paycordon.cli.case_acts", "resume"),
    ("case reopen", "paycordon.cli.case_acts", "reopen"),
    ("proposal list", "paycordon.cli.proposal", "list_proposals"),
    ("proposal agree", "paycordon.cli.proposal", "agree"),
    ("proposal decline", "paycordon.cli.proposal", "decline"),
    ("snooze add", "paycordon.cli.snooze", "add"),
    ("snooze list", "paycordon.cli.snooze", "list_snoozes"),
    ("snooze end", "paycordon.cli.snooze", "end"),
    ("person token", "paycordon.cli.person", "token"),
    ("person list", "paycordon.cli.person", "list_people"),
    ("directive keep-open", "paycordon.cli.directive", "keep_open"),
    ("directive freeze", "paycordon.cli.directive", "freeze"),
    ("directive list", "paycordon.cli.directive", "list_directives"),
    ("directive show", "paycordon.cli.directive", "show"),
    ("directive renew", "paycordon.cli.directive", "renew"),
    ("directive end", "paycordon.cli.directive", "end"),
    ("directive release", "paycordon.cli.directive", "release"),
    ("directive verify", "paycordon.cli.directive", "verify"),
    ("referral receive", "paycordon.cli.referral", "receive"),
    ("referral correct", "paycordon.cli.referral", "correct"),
    ("referral list", "paycordon.cli.referral", "list_referrals"),
    ("referral show", "paycordon.cli.referral", "show"),
    ("referral offer", "paycordon.cli.referral_steps", "offer"),
    ("referral hold", "paycordon.cli.referral_steps", "hold"),
    ("referral release", "paycordon.cli.referral_steps", "release"),
    ("referral acted", "paycordon.cli.referral_steps", "acted"),
    ("referral fed-back", "paycordon.cli.referral_steps", "fed_back"),
    ("referral withdraw", "paycordon.cli.referral_steps", "withdraw"),
    ("referral close", "paycordon.cli.referral_steps", "close"),
    ("referral undo", "paycordon.cli.referral_steps", "undo"),
    ("restriction list", "paycordon.cli.restriction", "list_restrictions"),
    ("restriction show", "paycordon.cli.restriction", "show"),
    ("restriction reconcile", "paycordon.cli.restriction", "reconcile"),
    ("restriction reapply", "paycordon.cli.restriction", "reapply"),
    ("restriction accept", "paycordon.cli.restriction", "accept"),
    ("act ask", "paycordon.cli.act", "ask"),
    ("act list", "paycordon.cli.act", "list_acts"),
    ("act show", "paycordon.cli.act", "show"),
    ("act retry", "paycordon.cli.act", "retry"),
    ("clock list", "paycordon.cli.clock", "list_clocks"),
    ("clock report", "paycordon.cli.clock", "report"),
    ("delivery list", "paycordon.cli.delivery", "list_deliveries"),
    ("delivery retry", "paycordon.cli.delivery", "retry"),
    ("delivery catch-up", "paycordon.cli.delivery", "catch_up"),
    ("indicator add", "paycordon.cli.indicator", "add"),
    ("indicator list", "paycordon.cli.indicator", "list_indicators"),
    ("indicator withdraw", "paycordon.cli.indicator", "withdraw"),
    ("names build", "paycordon.cli.names", "build"),
    ("names status", "paycordon.cli.names", "status"),
    ("names check", "paycordon.cli.names", "check"),
    ("names clear", "paycordon.cli.names", "clear"),
    ("indicator common", "paycordon.cli.indicator_common", "common"),
    ("indicator confirm", "paycordon.cli.indicator_common", "confirm"),
    ("indicator lookup", "paycordon.cli.indicator_lookup", "lookup"),
    ("indicator keys", "paycordon.cli.indicator_keys", "keys"),
    ("indicator waiting", "paycordon.cli.indicator_waiting", "waiting"),
    ("indicator approve", "paycordon.cli.indicator_waiting", "approve"),
    ("links", "paycordon.cli.links", "links"),
    ("feed list", "paycordon.cli.feed", "list_feeds"),
    ("feed show", "paycordon.cli.feed", "show"),
    ("feed pull", "paycordon.cli.feed", "pull"),
    ("inquiry ask", "paycordon.cli.inquiry", "ask"),
    ("inquiry list", "paycordon.cli.inquiry", "list_inquiries"),
    ("inquiry show", "paycordon.cli.inquiry", "show"),
    ("feed publish", "paycordon.cli.feed_publish", "publish"),
    ("feed renew", "paycordon.cli.feed_publish", "renew"),
    ("feed rotate", "paycordon.cli.feed_publish", "rotate"),
    ("exchange draft", "paycordon.cli.exchange_acts", "draft"),
    ("exchange correct", "paycordon.cli.exchange_acts", "correct"),
    ("exchange retract", "paycordon.cli.exchange_acts", "retract"),
    ("exchange feedback", "paycordon.cli.exchange_acts", "feedback"),
    ("exchange list", "paycordon.cli.exchange", "list_contributions"),
    ("exchange show", "paycordon.cli.exchange", "show"),
    ("exchange retry", "paycordon.cli.exchange", "retry"),
    ("exchange recipients", "paycordon.cli.exchange", "recipients"),
    ("exchange reasons", "paycordon.cli.exchange", "reasons"),
    ("withdrawal list", "paycordon.cli.withdrawal", "list_withdrawals"),
    ("withdrawal show", "paycordon.cli.withdrawal", "show"),
    ("withdrawal policy", "paycordon.cli.withdrawal", "policy"),
    ("withdrawal run", "paycordon.cli.withdrawal", "run"),
    ("withdrawal release", "paycordon.cli.withdrawal", "release"),
    ("retention report", "paycordon.cli.retention", "report"),
    ("retention run", "paycordon.cli.retention", "run"),
    ("retention withheld", "paycordon.cli.retention", "withheld"),
    ("erase", "paycordon.cli.retention", "erase"),
    ("appeal add", "paycordon.cli.appeal", "add"),
    ("notice list", "paycordon.cli.notice", "list_notices"),
    ("notice show", "paycordon.cli.notice", "show"),
    ("notice sent", "paycordon.cli.notice", "sent"),
    ("notification list", "paycordon.cli.notification", "list_notifications"),
    ("notification retry", "paycordon.cli.notification", "retry"),
    ("log verify", "paycordon.cli.log", "verify"),
    ("log checkpoint", "paycordon.cli.log", "checkpoint"),
    ("log public-key", "paycordon.cli.log", "public_key"),
    ("lookup", "paycordon.cli.lookup", "lookup"),
    ("hub init", "paycordon.cli.hub", "init"),
    ("hub build", "paycordon.cli.hub", "build"),
    ("hub serve", "paycordon.cli.hub", "serve"),
    ("hub rotate", "paycordon.cli.hub", "rotate"),
    ("hub status", "paycordon.cli.hub", "status"),
    ("hub audit", "paycordon.cli.hub_members", "audit"),
    ("hub add-member", "paycordon.cli.hub_members", "add_member"),
    ("hub members", "paycordon.cli.hub_members", "list_members"),
    ("hub remove-member", "paycordon.cli.hub_members", "remove_member"),
    ("adapter new", "paycordon.cli.adapter", "new"),
    ("demo", "paycordon.cli.demo", "demo"),
    ("simulate", "paycordon.cli.simulate", "simulate"),
)
GROUPS = {
    "policy": "Write, test, backtest, approve and watch policies.",
    "adapter": "Begin an adapter for another gateway.",
    "list": "Keep lists that policies look values up in.",
    "hold": "See what is held or blocked; hold and release by hand.",
    "case": "Work on what people have to look at.",
    "proposal": "Agree to what takes two people, or decline it.",
    "snooze": "Let a rule say nothing about one merchant for a while.",
    "person": "Name the people who may do things by hand.",
    "directive": "Handle what authorities ask for; takes the role `restricted`.",
    "referral": "Handle tips that others hand us, with law enforcement first; takes the role `restricted`.",
    "restriction": "See how far the gateways agree with the holds, and decide about what was changed there by hand.",
    "act": "Have something done at a gateway, beyond holds and blocks: reject, reverse, refund.",
    "clock": "See by when something has to be decided.",
    "delivery": "See which deliveries are stuck, and let them be tried again.",
    "names": "Compare merchants and the people behind them with lists of names.",
    "indicator": "Add, list and withdraw what the coalition knows.",
    "feed": "Read what sources say, and publish what you say yourself.",
    "exchange": "Tell others what you know, correct it and take it back; takes two people.",
    "inquiry": "Ask lists of terminated merchants before a merchant is signed.",
    "withdrawal": "See what rested on a withdrawn indicator or policy, judge it again, release it.",
    "retention": "See how long records are kept, and erase what is past its time.",
    "appeal": "Take what a merchant objects.",
    "notice": "See what merchants are to be told about holds, in neutral words.",
    "notification": "See what others could not be told, and let it be sent again.",
    "hub": "Run a hub, which members ask whether an identifier is known without saying which.",
    "log": "Verify and sign the decision log.",
}


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """Put the commands together; one whose module is not part of this installation is left out.

    To import and describe all 120 takes longer than most of them run: where `arguments` name a command, or a group of
    them, only what they name is there.
    """
    app = typer.Typer(
        name="paycordon",
        cls=Root,
        help="Hold or block merchants, payouts and disputes at payment gateways, as your policy says.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich's help takes a quarter of a second to import
    )
    app.callback()(_version)
    groups: dict[str, typer.Typer] = {}
    for command, module, function in _named(arguments):
        if find_spec(module) is None:
            continue
        group, _, name = command.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(name=group, help=GROUPS[group], no_args_is_help=True, rich_markup_mode=None)
        loaded = import_module(module)
        parser = getattr(loaded, "PARSER", None)
        (groups[group] if group else app).command(name, cls=parser)(getattr(loaded, function))
    for name in GROUPS:
        if name in groups:
            app.add_typer(groups[name])
    return app


def _named(arguments: Sequence[str]) -> Sequence[tuple[str, str, str]]:
    """Return the command that the arguments name, or those of its group, or else all of them."""
    group = [each for each in COMMANDS if each[0].split(" ")[0] == "".join(arguments[:1])]
    exact = [each for each in group if each[0].split(" ") == [*arguments[: each[0].count(" ") + 1]]]
    return exact or group or COMMANDS


def main() -> None:
    """Run the command line; the entry point `paycordon`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 must not end a command
    build(sys.argv[1:])()


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"paycordon {version('paycordon')}")
        raise typer.Exit


def _version(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
    ),
) -> None:
    del version
