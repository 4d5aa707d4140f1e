"""The tables of announcements, authorizations, their evidence and experts, filed agreements, demands and grants."""

from __future__ import annotations

from shuzha.authorization.announcement import ANNOUNCEMENT, Announcement
from shuzha.authorization.assessment import ASSESSMENT, Assessment
from shuzha.authorization.evidence import EvidenceFile
from shuzha.authorization.filing import Filing
from shuzha.authorization.model import AUTHORIZATION, DEMAND, GRANT, Authorization, Demand, Grant
from shuzha.core.records import Noun

ANNOUNCEMENTS = Noun("announcements", Announcement, lifecycle=ANNOUNCEMENT, index=["state"])
AUTHORIZATIONS = Noun(
    "authorizations", Authorization, lifecycle=AUTHORIZATION, index=["operator", "state", "valid_until"]
)
EVIDENCE_FILES = Noun("evidence_files", EvidenceFile, index=["authorization"])
ASSESSMENTS = Noun(
    "assessments", Assessment, lifecycle=ASSESSMENT, unique=[("authorization", "expert")], index=["expert"]
)
FILINGS = Noun("filings", Filing, unique=[("number",)])
DEMANDS = Noun("demands", Demand, lifecycle=DEMAND, index=["authorization", "operator", "provider"])
GRANTS = Noun("grants", Grant, lifecycle=GRANT, unique=[("demand",)], index=["authorization", "operator", "provider"])
