"""Decision rules by name. Rules are pure: numbers in, a decision out."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.judging.rules.excess import ExcessRule, Whole
from pytest_sgdiff.judging.rules.moderated import CLASS_MARGINS, FewLaunchesRule, ModeratedRule
from pytest_sgdiff.judging.rules.paired import PairedRule
from pytest_sgdiff.judging.rules.pause import FewLaunchesPauseRule, PauseRule
from pytest_sgdiff.judging.rules.prior import Prior
from pytest_sgdiff.judging.rules.protocol import Margins, Rule
from pytest_sgdiff.judging.rules.reference import ReferenceRule

RULES: Mapping[str, Rule] = {rule.name: rule for rule in (ModeratedRule(), PairedRule(), PauseRule(), ReferenceRule())}

__all__ = [
    "CLASS_MARGINS",
    "RULES",
    "ExcessRule",
    "FewLaunchesPauseRule",
    "FewLaunchesRule",
    "Margins",
    "ModeratedRule",
    "PairedRule",
    "Prior",
    "Rule",
    "Whole",
]
