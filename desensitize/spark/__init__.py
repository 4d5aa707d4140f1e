"""Desensitization of tables that Spark holds: the same plans and anonymization, row for row, as on one machine.

Executors need this package and its dependencies, and the key where the key source says. PySpark is not a dependency
of the package: this room is for those who have a session.
"""

from __future__ import annotations

from desensitize.spark.anonymization import SparkAnonymized, anonymize
from desensitize.spark.keys import KeyFile, KeyFunction, KeySource, KeyVariable
from desensitize.spark.release import SparkRelease, apply, protect

__all__ = [
    "KeyFile",
    "KeyFunction",
    "KeySource",
    "KeyVariable",
    "SparkAnonymized",
    "SparkRelease",
    "anonymize",
    "apply",
    "protect",
]
