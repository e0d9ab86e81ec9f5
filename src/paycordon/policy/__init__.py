"""Policies: YAML files of rules in CEL that judge events, their findings and their aggregates."""

from paycordon.policy.evaluate import evaluate
from paycordon.policy.lint import ISSUES, Issue, Severity, lint
from paycordon.policy.load import PolicyFiles, load_policies, load_policy, load_set
from paycordon.policy.model import Policy, PolicySet, Rule
from paycordon.policy.packs import starter_policy

__all__ = [
    "ISSUES",
    "Issue",
    "Policy",
    "PolicyFiles",
    "PolicySet",
    "Rule",
    "Severity",
    "evaluate",
    "lint",
    "load_policies",
    "load_policy",
    "load_set",
    "starter_policy",
]
