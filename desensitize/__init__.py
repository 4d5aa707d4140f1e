"""Desensitization, table in and table out: find identifiers, plan, transform, anonymize, measure.

The package stands alone: it knows no database, no web and nothing of the platform around it.
"""

from __future__ import annotations

from desensitize.anonymity.anonymization import Anonymized, anonymize
from desensitize.anonymity.comparison import Comparison, compare
from desensitize.anonymity.recoding import Recoded, recode_locally
from desensitize.errors import DesensitizeError, InvalidInput, InvalidPlan
from desensitize.finding.scanning import ColumnFinding, Found, ScanReport, scan
from desensitize.hierarchy import Hierarchy
from desensitize.release import Release, apply, protect
from desensitize.risk.attacks import Attack, Attacks, measure_attacks
from desensitize.risk.measures import Limits, Risk, limits_of, measure_risk
from desensitize.transform.goals import DeltaPresence, KAnonymity, KMap, LDiversity, TCloseness
from desensitize.transform.plan import Anonymity, Plan

__all__ = [
    "Anonymity",
    "Anonymized",
    "Attack",
    "Attacks",
    "ColumnFinding",
    "Comparison",
    "DeltaPresence",
    "DesensitizeError",
    "Found",
    "Hierarchy",
    "InvalidInput",
    "InvalidPlan",
    "KAnonymity",
    "KMap",
    "LDiversity",
    "Limits",
    "Plan",
    "Recoded",
    "Release",
    "Risk",
    "ScanReport",
    "TCloseness",
    "anonymize",
    "apply",
    "compare",
    "limits_of",
    "measure_attacks",
    "measure_risk",
    "protect",
    "recode_locally",
    "scan",
]
