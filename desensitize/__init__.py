"""Desensitization, table in and table out: find identifiers, plan, transform, anonymize, measure.

The package stands alone: it knows no database, no web and nothing of the platform around it.
"""

from __future__ import annotations
