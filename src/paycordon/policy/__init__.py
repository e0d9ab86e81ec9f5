"""Policies: YAML files of rules in CEL that judge events, their findings and their aggregates."""

from importlib.resources import files

from paycordon.policy.evaluate import evaluate
from paycordon.policy.lint import ISSUES, Issue, Severity, lint
from paycordon.policy.load import PolicyFiles, load_policies, load_policy, load_set
from paycordon.policy.model import Policy, PolicySet, Rule

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


def starter_policy() -> str:
    """The text of the policy that `paycordon init` writes: a commented start to be edited."""
    return files(__name__).joinpath("packs", "starter.yaml").read_text(encoding="utf-8")
