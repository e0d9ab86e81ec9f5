"""Faults seeded into the text of the guard, the acts and the translation: an existing test catches each.

The faults of `test_seeded_faults.py` are variants of the adapter that the conformance kit catches, run with the suite.
These are changes of single lines beyond what the kit sees; each is made in a copy of the sources, and the named test is
run on that copy. It takes some seconds each, so it is `pytest -m soak plugins/stripe/tests/test_mutants.py`; the suite
only checks that the lines to change are still there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = {"paycordon": ROOT / "src" / "paycordon", "paycordon_stripe": ROOT / "plugins/stripe/src/paycordon_stripe"}
GUARD, TABLE, ASKED = "guarded_client.py", "screened_calls.py", "requested.py"


class Mutant(NamedTuple):
    """What goes wrong, the line that is changed in which file of the adapter (or of the core), and who notices."""

    fault: str
    file: str
    old: str
    new: str
    caught_by: str


MUTANTS = (
    Mutant(
        "the guard forgets transfers", TABLE, '"post", "/v1/transfers"', '"post", "/v1/transfer"',
        "test_guard.py::test_a_stopped_call_never_reaches_stripe",
    ),
    Mutant(
        "the guard takes an account named in headers for the platform", GUARD, 'headers.get("stripe-account") or ', "",
        "test_guard.py::test_whichever_way_the_account_is_named_its_payout_is_screened",
    ),
    Mutant(
        "the guard forgets objects that Stripe returned", GUARD,
        "return _Requestor(super()._new_requestor_with_options(options), self._checkpoint, self._mode)",
        "return super()._new_requestor_with_options(options)",
        "test_guard_requests.py::test_objects_that_stripe_returned_are_guarded_too",
    ),
    Mutant(
        "the guard sends what somebody changes meanwhile", GUARD,
        "given = kept(_as_sent(params or {}))", "given = params",
        "test_guard.py::test_what_is_sent_is_what_was_screened_even_if_somebody_changes_it_meanwhile",
    ),
    Mutant(
        "the guard screens a call with a live key as a test", GUARD, "is not self._mode:", "is None:",
        "test_guard.py::test_a_call_with_a_key_of_its_own_that_is_of_the_other_mode_is_not_sent",
    ),
    Mutant(
        "the asynchronous twin is not screened", GUARD, "await self._checkpoint.passes_async(call)", "pass",
        "test_guard.py::test_a_stopped_call_never_reaches_stripe",
    ),
    Mutant(
        "a release counts for any amount under its key", "asked.py", "[payout.amount.minor, ", "[",
        "test_guard.py::test_a_release_of_one_payout_does_not_let_a_larger_one_pass_under_its_key",
    ),
    Mutant(
        "a switched-off capability waits for people", TABLE, "if _only_switches_off(rule, given):", "if False:",
        "test_guard_requests.py::test_switching_a_capability_off_is_never_stopped",
    ),
    Mutant(
        "parameters in the URL are not looked at", TABLE, "if urlsplit(url).query:", "if False:",
        "test_guard_requests.py::test_parameters_in_the_url_of_a_screened_request_are_not_sent",
    ),
    Mutant(
        "an IBAN is not seen", ASKED, "(IdentifierKind.IBAN, account_number if", "(IdentifierKind.IBAN, None if",
        "test_guard.py::test_a_new_account_is_screened_with_all_that_names_the_merchant",
    ),
    Mutant(
        "the hold of today does not stop a call that was allowed once", "core:adapting/guarding.py",
        "_stop(decision, self._cordon.in_force(decision))", "_stop(decision, decision.outcome)",
        "test_guard.py::test_a_repeated_call_that_was_allowed_is_stopped_by_a_hold_of_today",
    ),
    Mutant(
        "a payout that people released is held again by its delivery", "translate.py",
        "if key is None or account is None or payout.automatic is not False:", "if True:",
        "test_end_to_end.py::test_a_payout_that_the_guard_let_through_is_not_asked_for_again_by_its_delivery",
    ),
    Mutant(
        "evidence is handed in instead of drafted", "performing.py", '"submit": False', '"submit": True',
        "test_peoples_acts.py::test_evidence_is_a_draft_and_never_handed_in",
    ),
    Mutant(
        "somebody else's transfer is reversed", "performing.py", 'if found.reference("destination") != account:',
        "if False:", "test_peoples_acts.py::test_a_transfer_to_another_account_is_not_reversed",
    ),
    Mutant(
        "an act is done behind a closed fence", "performing.py", "check_fence(self._takes)", "pass",
        "test_peoples_acts.py::test_behind_a_closed_fence_no_act_is_done",
    ),
    Mutant(
        "an act that is done already is done again", "core:adapting/acting.py", "if plan.done(before):", "if False:",
        "test_peoples_acts.py::test_an_act_is_done_read_back_and_not_done_again",
    ),
    Mutant(
        "a lost answer counts as nothing done", "core:adapting/answers.py", "if writing and sent:", "if False:",
        "test_acts.py::test_a_fault_of_a_write_is_told_as_what_it_means",
    ),
    Mutant(
        "a status is taken from the name of the event", "translate.py", 'status=node.text("status")', 'status="paid"',
        "test_translate.py::test_a_payout_may_fail_after_it_was_paid",
    ),
)  # fmt: skip


def path_of(mutant: Mutant, packages: dict[str, Path]) -> Path:
    core, _, name = mutant.file.rpartition("core:")
    return packages["paycordon" if mutant.file.startswith("core:") else "paycordon_stripe"] / (name or core)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_the_line_to_change_and_the_test_are_there(mutant: Mutant) -> None:
    assert path_of(mutant, SOURCES).read_text().count(mutant.old) >= 1
    name, _, test = mutant.caught_by.partition("::")
    assert re.search(rf"def {test or 'test_'}", Path(__file__).with_name(name).read_text())


def outcome_of(test: str, copies: Path) -> subprocess.CompletedProcess[str]:
    """Run a test on copies of the sources."""
    named = str(Path(__file__).parent / test)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", named]
    environment = {**os.environ, "PYTHONPATH": str(copies), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170, check=False)


def copied(directory: Path) -> dict[str, Path]:
    copies = {name: directory / name for name in SOURCES}
    for name, copy in copies.items():
        shutil.copytree(SOURCES[name], copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copies


@pytest.mark.soak
@pytest.mark.parametrize("test", sorted({mutant.caught_by for mutant in MUTANTS}))
def test_a_copy_without_a_fault_passes(test: str, tmp_path: Path) -> None:
    copied(tmp_path)

    done = outcome_of(test, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.soak
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_the_named_test_catches_it(mutant: Mutant, tmp_path: Path) -> None:
    changed = path_of(mutant, copied(tmp_path))
    changed.write_text(changed.read_text().replace(mutant.old, mutant.new, 1))

    done = outcome_of(mutant.caught_by, tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr
    assert " failed" in done.stdout
