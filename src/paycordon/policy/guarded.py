"""Which rules one person alone may not silence: those that protect children, and those that rest on the coalition."""

from __future__ import annotations

from paycordon.policy.changes import used_by
from paycordon.policy.evaluate import TYPOLOGY
from paycordon.policy.model import Policy, PolicySet, Rule
from paycordon.policy.syntax import Const, SyntaxInvalid, codes_needed, parse, paths, walk

COALITION_CODES = frozenset({"indicator.match", "indicator.common"})
"""What a check finds out from the coalition's knowledge: a hold that rests on it is released by two people."""


def guarded_rules(policies: PolicySet) -> frozenset[str]:
    """Return the rules that take two people to be snoozed, as `policy/rule`."""
    return frozenset(
        f"{policy.ref.name}/{rule.id}"
        for policy in policies.policies
        for rule in policy.rules
        if rule.child_protection or rests_on_coalition(policy, rule)
    )


def coalition_rules(policies: PolicySet) -> frozenset[str]:
    """Return the rules, and the typologies that such rules add to, that may state something by the coalition."""
    found = [
        (policy, rule) for policy in policies.policies for rule in policy.rules if rests_on_coalition(policy, rule)
    ]
    rules = {f"{policy.ref.name}/{rule.id}" for policy, rule in found}
    return frozenset(rules | {f"{policy.ref.name}/{TYPOLOGY}{name}" for policy, rule in found for name in rule.adds})


def rests_on_coalition(policy: Policy, rule: Rule) -> bool:
    """Tell whether a rule may match because of the coalition's knowledge.

    It may if it reads findings and names one of the coalition's codes, or does not say which codes it needs.
    """
    shared = [policy.variables[name] for root, name in used_by(policy, rule) if root == "variables"]
    try:
        condition = parse(rule.condition)
        nodes = [condition, *(parse(source) for source in shared)]
    except SyntaxInvalid:  # what cannot be read may use anything
        return True
    if not any(path[0] == "findings" for node in nodes for path in paths(node)):
        return False
    texts = {each.value for node in nodes for each in walk(node) if isinstance(each, Const)}
    return bool(COALITION_CODES & texts) or codes_needed(condition) is None
