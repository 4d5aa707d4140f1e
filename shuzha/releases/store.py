"""The table of releases."""

from __future__ import annotations

from shuzha.core.records import Noun
from shuzha.releases.model import RELEASE, Release

RELEASES = Noun("releases", Release, lifecycle=RELEASE, index=["grant", "demand", "authorization", "operator"])
