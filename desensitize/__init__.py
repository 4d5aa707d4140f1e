"""Desensitization, table in and table out: find identifiers, plan, transform, anonymize, measure.

The package stands alone: it knows no database, no web and nothing of the platform around it.
"""

from __future__ import annotations

from desensitize.anonymity.anonymization import Anonymized, anonymize
from desensitize.anonymity.comparison import Comparison, compare
from desensitize.anonymity.recoding import Recoded, recode_locally
from desensitize.dp.synthetic import Synthesis, synthesize
from desensitize.dp.synthetic_domain import Bins, Categories, Domain
from desensitize.errors import DesensitizeError, InvalidInput, InvalidPlan
from desensitize.finding.combinations import Combination, QuasiIdentifiers, find_quasi_identifiers
from desensitize.finding.scanning import ColumnFinding, Found, ScanReport, scan
from desensitize.hierarchy import Hierarchy
from desensitize.release import Release, apply, protect
from desensitize.risk.attacks import Attack, Attacks, measure_attacks
from desensitize.risk.joined import JoinedRisk, measure_joined_risk
from desensitize.risk.measures import Limits, Risk, limits_of, measure_risk
from desensitize.risk.utility import Utility, measure_utility
from desensitize.synthetic import SyntheticPlan, SyntheticRelease, release_synthetic
from desensitize.transform.goals import DeltaPresence, KAnonymity, KMap, LDiversity, TCloseness
from desensitize.transform.plan import Anonymity, Plan

__all__ = [
    "Anonymity",
    "Anonymized",
    "Attack",
    "Attacks",
    "Bins",
    "Categories",
    "ColumnFinding",
    "Combination",
    "Comparison",
    "DeltaPresence",
    "DesensitizeError",
    "Domain",
    "Found",
    "Hierarchy",
    "InvalidInput",
    "InvalidPlan",
    "JoinedRisk",
    "KAnonymity",
    "KMap",
    "LDiversity",
    "Limits",
    "Plan",
    "QuasiIdentifiers",
    "Recoded",
    "Release",
    "Risk",
    "ScanReport",
    "Synthesis",
    "SyntheticPlan",
    "SyntheticRelease",
    "TCloseness",
    "Utility",
    "anonymize",
    "apply",
    "compare",
    "find_quasi_identifiers",
    "limits_of",
    "measure_attacks",
    "measure_joined_risk",
    "measure_risk",
    "measure_utility",
    "protect",
    "recode_locally",
    "release_synthetic",
    "scan",
    "synthesize",
]
