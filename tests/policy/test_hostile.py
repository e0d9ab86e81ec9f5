"""Hostile policies are refused with a clear sentence, or bounded: a CPU second and 200 MB, each in its own process."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Imports once; then each policy is judged in a process of its own, forked from there.
CHILD = """
import json, os, re, resource, sys, time
from pathlib import Path
from datetime import UTC, datetime
from paycordon.decisions import Finding
from paycordon.errors import PolicyError
from paycordon.events import Account, Event, Identifier, Merchant, Money, Payout
from paycordon.policy import PolicySet, evaluate
from paycordon.policy.load import load_policy

def judge(path):
    event = Event(
        id="e", type="payout.requested", occurred_at=datetime(2026, 3, 1, tzinfo=UTC), gateway="g", instance="i",
        account=Account(id="a"), merchant=Merchant(name="a" * 2_000 + "!"),
        payout=Payout(amount=Money(minor=1, currency="EUR")),
        identifiers=tuple(Identifier(kind="device", digest="d" * 200 + str(n)) for n in range(256)),
    )
    findings = [Finding(check="c", code="a.b", confidence=0.5, evidence={"t": "x" * 500}) for _ in range(200)]
    started = time.process_time()
    try:
        found = evaluate(PolicySet([load_policy(Path(path))]), event, findings, {})
        said = found.errors[0].detail if found.errors else f"matches {len(found.matches)}"
    except PolicyError as error:
        said = f"refused: {error}"
    took = time.process_time() - started
    try:  # what `getrusage` tells begins with the memory of the process that started this one
        kb = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    except OSError:
        kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return json.dumps({"said": said, "s": took, "kb": kb})

for line in sys.stdin:
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
        print(judge(line.strip()), flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        print(json.dumps({"died": status}), flush=True)
"""
MOST_S = 1.0
MOST_KB = 200_000
CPU_S = 20


def policy(when: str, head: str = "") -> str:
    rule = "  - id: r\n    on: [payout.requested]\n    when: " + json.dumps(when, ensure_ascii=False)
    return f"policy: p\nversion: 1\non_error: hold\n{head}rules:\n{rule}\n    then: review\n"


def variables(sources: dict[str, str]) -> str:
    return "variables:\n" + "".join(f"  {name}: {json.dumps(source)}\n" for name, source in sources.items())


DOUBLING = {"a0": "event.merchant.name + 'x'"} | {
    f"a{n}": f"variables.a{n - 1} + variables.a{n - 1}" for n in range(1, 40)
}
LOOP = "event.identifiers.{}({}, {})"
HOSTILE = {
    "nested parentheses": (policy("(" * 10_000 + "1" + ")" * 10_000), "longer than"),
    "33 brackets": (policy("(" * 33 + "true" + ")" * 33), "nests deeper"),
    "a chain of operations": (policy("1" + "+1" * 1_500 + " > 0"), "refused"),
    "a chain of fields": (policy("event" + ".a" * 1_500), "refused"),
    "a chain of questions": (policy("true ? true : " * 290 + "true"), "refused"),
    "a long disjunction": (policy(" || ".join(["event.id == 'x'"] * 200)), "matches 0"),
    "a catastrophic pattern": (policy("event.merchant.name.matches('^(([a-z])+.)+[A-Z]([a-z])+$')"), "matches 0"),
    "a huge pattern": (policy("event.merchant.name.matches('((a{1,1000}){1,1000}){1,1000}')"), ""),
    "a pattern made at run time": (policy("event.id.matches(event.merchant.name + event.merchant.name)"), "matches 0"),
    "four nested loops": (policy("findings.all(a, findings.all(b, findings.all(c, findings.all(d, true))))"), "2 deep"),
    "a cartesian product": (policy("findings.all(a, findings.all(b, a.confidence == b.confidence))"), "budget"),
    "many loops beside each other": (
        policy(" && ".join([LOOP.format("all", "i", "i.kind == 'device'")] * 80)),
        "budget",
    ),
    "a list that doubles": (policy("[1].map(x, [x, x])" + ".map(x, x + x)" * 29 + ".size() > 0"), "refused"),
    "a list that doubles itself": (policy("[[1]]" + ".map(x, x + x)" * 25 + ".size() > 0"), "refused"),
    "a map in a loop": (policy("[1].map(x, {'a': [x, x]}).size() > 0"), "refused"),
    "a text in a loop": (policy(LOOP.format("all", "i", " + ".join(["i.digest"] * 30) + " != ''")), "refused"),
    "the largest text in loops that passes": (
        policy(
            LOOP.format(
                "exists",
                "i",
                "findings.exists(f, event.merchant.name + event.merchant.name + f.evidence.t == i.digest)",
            )
        ),
        "budget",
    ),
    "variables that double": (policy("variables.a39.size() > 0", variables(DOUBLING)), "no value"),
    "a text of ten megabytes": (policy("event.id == '" + "x" * 10_000_000 + "'"), "refused"),
    "a text of half a megabyte": (policy("event.id == '" + "x" * 500_000 + "'"), "longer than"),
    "a huge number": (policy("event.payout.amount.minor > " + "9" * 4_000), "refused"),
    "a huge number in YAML": (policy("true", "params: {n: " + "9" * 100_000 + "}\n"), "refused"),
    "a YAML bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{n}: &{n} [{', '.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
        "refused",
    ),
    "an alias": (policy("true", "params: {a: &a 1, b: *a}\n"), "refused"),
    "duplicate keys": (policy("true", "params: {a: 1, a: 2}\n"), "refused"),
    "deep YAML": (policy("true", "params: {a: " + "[" * 5_000 + "]" * 5_000 + "}\n"), "refused"),
    "300 rules in which data are missing": (
        policy("true").split("rules:")[0]
        + "rules:\n"
        + "".join(
            f"  - {{id: r{n}, on: [payout.requested], when: event.payout.automatic, then: review}}\n"
            for n in range(300)
        ),
        "missing",
    ),
}


@pytest.fixture(scope="module")
def judged() -> Iterator[Callable[[Path], Any]]:
    command = [sys.executable, "-c", CHILD, str(CPU_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(file: Path) -> Any:
            stdin.write(f"{file}\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield ask
        stdin.close()


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_policy_is_refused_or_bounded(judged, content, words, tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(content, encoding="utf-8")
    found = judged(file)
    assert "died" not in found
    assert words in found["said"]
    assert len(found["said"]) < 5_000
    assert found["kb"] <= MOST_KB, found
    assert found["s"] <= MOST_S, found
