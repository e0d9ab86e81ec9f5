"""Why a policy decided as it did. For the risk team only: nothing of it may reach a merchant.

Everything is computed on demand, from recorded inputs, by the engine that judges; explaining costs nothing live.
"""

from paycordon.policy.explain.build import explain
from paycordon.policy.explain.document import document_of
from paycordon.policy.explain.model import Change, Counterfactual, Explanation, PolicyTrace, RuleTrace
from paycordon.policy.explain.picture import picture_of
from paycordon.policy.explain.text import Line, lines_of

__all__ = [
    "Change",
    "Counterfactual",
    "Explanation",
    "Line",
    "PolicyTrace",
    "RuleTrace",
    "document_of",
    "explain",
    "lines_of",
    "picture_of",
]
