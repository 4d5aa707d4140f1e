"""A risk certificate as people read it: one view of its JSON, for a release's page and for a page of its own.

The page of its own (`render_paper`) is one HTML file that holds everything: styles and charts, no script, no other
host. It can be mailed, printed and kept beside the JSON that it shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from desensitize.certificate import LEAST_ROWS_TO_HASH
from shuzha.portal.charts import Change, bands_of, draw_changes, draw_share, draw_sizes
from shuzha.portal.i18n import Speech

_TEMPLATES = Path(__file__).parent / "templates"
_STYLES = Path(__file__).parent / "static" / "certificate.css"
_SHOWN_OPTIONS = 90


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One column: what was found in it, what was done to it, and what is left of it."""

    name: str
    role: str
    types: tuple[str, ...]
    technique: str
    said: str
    level: int | None
    utility: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class MarginalLine:
    """One measured marginal of a synthetic table: its columns, its number of cells, and shares of rows moved."""

    columns: tuple[str, ...]
    cells: int
    distance: float
    distance_of_noise: float
    at_most: float


@dataclass(frozen=True, slots=True)
class Paper:
    """The parts of a certificate, whichever kind it is: of a release, of the engine alone, or a risk report."""

    certificate: Mapping[str, Any]

    @property
    def engine(self) -> Mapping[str, Any]:
        """The engine's own part."""
        part: Mapping[str, Any] = self.certificate.get("desensitization") or self.certificate
        return part

    @property
    def risk(self) -> Mapping[str, Any]:
        """The measured risk; empty where none was measured."""
        return self.engine.get("measured") or {}

    @property
    def before(self) -> Mapping[str, Any]:
        """The risk of the input on the same columns; empty where it was not measured."""
        return self.engine.get("measured_before") or {}

    @property
    def limits(self) -> Mapping[str, Any]:
        """The limits that the risk is judged by."""
        return self.engine.get("limits") or {}

    @property
    def synthetic(self) -> Mapping[str, Any]:
        """What a synthetic table is and cost; empty for every other."""
        return (self.engine.get("done") or {}).get("synthetic") or {}

    @property
    def left_out(self) -> tuple[str, ...]:
        """The granted columns that a synthetic table does not hold."""
        steps = (self.engine.get("done") or {}).get("plan", {}).get("columns", {})
        return tuple(name for name, step in steps.items() if step.get("technique") == "drop")

    def marginals(self, several: bool) -> tuple[MarginalLine, ...]:
        """Return what is reported of single columns, or of `several` together."""
        cells = {name: _count_cells(domain) for name, domain in self.synthetic.get("domain", {}).items()}
        return tuple(
            MarginalLine(
                tuple(each["columns"]), prod(cells[name] for name in each["columns"]), each["distance"],
                each["distance_of_noise"], each["at_most"],
            )
            for each in self.synthetic["utility"]["marginals"]
            if (len(each["columns"]) > 1) == several
        )  # fmt: skip

    @property
    def too_few_rows(self) -> bool:
        """Whether the input has so few rows that its hash was withheld for that alone."""
        return int((self.engine.get("input") or {}).get("rows") or 0) < LEAST_ROWS_TO_HASH

    @property
    def smallest_accepted(self) -> int:
        """The least class size that the limits accept."""
        threshold = float(self.limits.get("threshold") or 1)
        return -int(-1 // (threshold + 1e-12)) if threshold < 1 else 1

    @property
    def utility(self) -> Mapping[str, Any]:
        """What is left of the columns; empty where it was not measured."""
        return self.engine.get("utility") or {}

    @property
    def population(self) -> Mapping[str, Any]:
        """What was estimated of the population; empty where no size of it was given."""
        return self.risk.get("population") or {}

    @property
    def joined(self) -> Mapping[str, Any]:
        """The risk together with earlier releases of the same scenario; empty where there is none."""
        return self.certificate.get("joined") or {}

    @property
    def not_promised(self) -> Sequence[str]:
        """What the certificate does not say."""
        return self.certificate.get("not_promised") or ()

    def columns(self, speech: Speech) -> tuple[ColumnLine, ...]:
        """Return every column of the plan, or of the table where there was no plan."""
        done = self.engine.get("done") or {}
        steps = done.get("plan", {}).get("columns", {})
        if not steps:
            steps = {each["name"]: {} for each in self.engine.get("output", {}).get("columns", ())}
        found = {each["name"]: each for each in (self._found().get("columns") or ())}
        levels = (done.get("anonymized") or {}).get("levels") or {}
        kept = {each["name"]: each for each in self.utility.get("columns", ())}
        sentences = (done.get("sentences") or {}).get("zh" if speech.language == "zh_Hans" else "en") or {}
        return tuple(
            ColumnLine(
                name=name,
                role=str(found.get(name, {}).get("role", "")),
                types=tuple(map(_type_name, found.get(name, {}).get("types", ()))),
                technique=str(step.get("technique", "")),
                said=sentences.get(name) or _short(step),
                level=levels.get(name),
                utility=kept.get(name) if step.get("technique") != "pseudonymize" else None,
            )
            for name, step in steps.items()
        )

    def _found(self) -> Mapping[str, Any]:
        return self.certificate.get("found") or self.engine.get("found") or {}

    def draw_sizes(self, speech: Speech) -> Markup:
        """Return the chart of class sizes."""
        after, before = bands_of(self.risk.get("profile", ())), bands_of(self.before.get("profile", ()))
        return draw_sizes(speech, after, before, self.smallest_accepted)

    def draw_changes(self, speech: Speech) -> Markup:
        """Return the chart of the risk before and after."""
        limits = {"prosecutor": self.limits.get("threshold"), "overall": self.limits.get("overall"),
                  "records_at_risk": 0.0}  # fmt: skip
        names = {
            "prosecutor": speech.t("Highest risk"), "marketer": speech.t("Average risk"),
            "records_at_risk": speech.t("Records at risk"), "uniques": speech.t("Alone in their class"),
            "overall": speech.t("Overall, with context"),
        }  # fmt: skip
        return draw_changes(
            speech,
            [
                Change(label, self.before.get(name), float(self.risk.get(name, 0.0)), limits.get(name))
                for name, label in names.items()
            ],
        )


def render_paper(
    certificate: Mapping[str, Any],
    language: str = "zh_Hans",
    *,
    name: str = "",
    made_at: str | None = None,
    signature: str = "",
    public_key: str = "",
) -> str:
    """Return the certificate as one self-contained HTML page in Chinese (`zh_Hans`) or English (`en`).

    `name` is what it is of (a file or release), `made_at` an ISO moment; a signature is shown, not checked.
    """
    speech = Speech(language)
    return _environment().get_template("certificate.html").render(
        speech=speech, t=speech.t, paper=Paper(certificate), name=name, made_at=made_at, signature=signature,
        public_key=public_key, draw_share=draw_share, word=word, styles=Markup(_STYLES.read_text("utf-8")),  # noqa: S704 - our own file
    )  # fmt: skip


def word(name: object) -> str:
    """Return the message id of a name in a certificate."""
    return str(name).replace("_", " ")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(default=True), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _count_cells(domain: Mapping[str, Any]) -> int:
    listed = len(domain["values"]) if "values" in domain else len(domain["edges"]) - 1
    return listed + bool(domain.get("null"))


def _type_name(found: object) -> str:
    return str(found.get("entity", "")) if isinstance(found, Mapping) else str(found)


def _short(step: Mapping[str, Any]) -> str:
    """Return the options of a technique in one short line; a long table of rows is counted, not shown."""
    shown = []
    for key, value in step.items():
        if key == "technique":
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        shown.append(f"{key} {text}" if len(text) <= _SHOWN_OPTIONS else f"{key} …")
    return ", ".join(shown)
