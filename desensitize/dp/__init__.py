"""Differential privacy: noisy statistics, their accounting, and synthetic tables.

from desensitize import dp

budget = dp.Accountant(dp.Cap(epsilon=2.0, delta=1e-6))
groups = dp.Groups(("district",), delta=1e-9)
query = dp.Count(unit=dp.Unit("resident_id"), noise=dp.Noise(epsilon=0.1), groups=groups)
query.cost()                                   # what would be spent, before anything is read
dp.answer("residents.parquet", query, budget)  # noisy figures with their intervals; the cost is spent for good
"""

from __future__ import annotations

from desensitize.dp.accounting import Accountant, BudgetSpent, Cap, Spent, fits, left_of
from desensitize.dp.answers import Answer, answer
from desensitize.dp.conditions import Where
from desensitize.dp.loss import Loss
from desensitize.dp.noise import Noise
from desensitize.dp.queries import Bounds, Count, Groups, Histogram, Mean, Quantile, Query, Sum, Unit

__all__ = [
    "Accountant",
    "Answer",
    "Bounds",
    "BudgetSpent",
    "Cap",
    "Count",
    "Groups",
    "Histogram",
    "Loss",
    "Mean",
    "Noise",
    "Quantile",
    "Query",
    "Spent",
    "Sum",
    "Unit",
    "Where",
    "answer",
    "fits",
    "left_of",
]
