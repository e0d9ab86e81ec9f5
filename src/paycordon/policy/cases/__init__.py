"""Tests beside a policy: what is given, and what has to come out of it. Judged by the same code as live.

`CasesDocument` is the file as people write it, with a JSON Schema for editors.
"""

from paycordon.policy.cases.coverage import Coverage, Covered, Meter, percent_of
from paycordon.policy.cases.document import CasesDocument, schema
from paycordon.policy.cases.junit import junit
from paycordon.policy.cases.load import (
    SUFFIX,
    RulesTried,
    cases_from,
    is_case_file,
    load_cases,
    policy_beside,
    rules_tried,
)
from paycordon.policy.cases.model import Case, CaseFile, CaseResult, Difference, Past
from paycordon.policy.cases.run import matched, run

__all__ = [
    "SUFFIX",
    "Case",
    "CaseFile",
    "CaseResult",
    "CasesDocument",
    "Coverage",
    "Covered",
    "Difference",
    "Meter",
    "Past",
    "RulesTried",
    "cases_from",
    "is_case_file",
    "junit",
    "load_cases",
    "matched",
    "percent_of",
    "policy_beside",
    "rules_tried",
    "run",
    "schema",
]
