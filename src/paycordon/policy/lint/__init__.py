"""Complaints about policy files before they judge anybody; `ISSUES` says what each id means.

P1xx are bugs, P2xx risks, P3xx style. Everything is read from syntax trees with their places, and what lint cannot
show it does not say: that a rule never matches, or that another covers it, is certain.
"""

from paycordon.policy.lint.issues import FIXABLE, ISSUES, Issue, Severity, explanation, severity_of
from paycordon.policy.lint.run import Files, Report, examined, lint
from paycordon.policy.lint.subject import Known

__all__ = [
    "FIXABLE",
    "ISSUES",
    "Files",
    "Issue",
    "Known",
    "Report",
    "Severity",
    "examined",
    "explanation",
    "lint",
    "severity_of",
]
