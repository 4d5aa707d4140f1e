"""The parameters of the disclosure rules, and what each rule means: one list for checks, docs and pages.

Defaults follow the strictest of ACRO and OpenSAFELY. Only the authority changes them; `Rules.version` names a set
of values.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.airlock.findings import Severity
from sandbox.airlock.models.rules import MODEL_NOTES, ModelRules
from shuzha.core.errors import Invalid

Label = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """The parameters in force. `structural_zeros` lists cells empty by nature, each as (column, label) pairs.

    `models` are the parameters of the model gate.
    """

    min_entities: int = 10
    nk_n: int = 2
    nk_k: float = 0.90
    p_percent: float = 0.10
    min_dof: int = 10
    share_low: float = 0.05
    share_high: float = 0.95
    extreme_entities: int = 10
    min_difference: int = 10
    max_leverage: float = 0.9
    round_base: int = 5
    structural_zeros: tuple[tuple[Label, ...], ...] = ()
    models: ModelRules = field(default_factory=ModelRules)

    def __post_init__(self) -> None:
        if (
            self.min_entities < 1
            or self.nk_n < 1
            or self.min_dof < 0
            or self.extreme_entities < 1
            or self.round_base < 1
        ):
            raise Invalid("the disclosure rules refuse a count below one", rule="airlock.rules", accepted="1 or more")
        if not (
            0 < self.max_leverage <= 1
            and 0 < self.nk_k <= 1
            and self.p_percent >= 0
            and 0 <= self.share_low < self.share_high <= 1
        ):
            raise Invalid(
                "the disclosure rules refuse a share out of order", rule="airlock.rules", accepted="0 to 1, low < high"
            )

    @property
    def version(self) -> str:
        """The name of these values: the first 16 hex digits of the SHA-256 of their canonical JSON."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as plain JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class RuleNote:
    """What a rule asks, for people: its parameters in `Rules`, how it binds, and where its definition comes from."""

    rule: str
    parameters: tuple[str, ...]
    severity: Severity
    meaning: str
    source: str


NOTES: Final[tuple[RuleNote, ...]] = (
    RuleNote(
        "min_count", ("min_entities",), Severity.BLOCK,
        "each cell rests on at least this many distinct entities with a non-null value", "OpenSAFELY (10), ACRO (10)",
    ),
    RuleNote(
        "dominance_nk", ("nk_n", "nk_k"), Severity.BLOCK,
        "the share of the largest n entities in a cell's absolute total is below k (sum, mean, std, var)",
        "ACRO, (n,k) rule",
    ),
    RuleNote(
        "dominance_p", ("p_percent",), Severity.BLOCK,
        "what the two largest entities leave of a cell's absolute total is at least p of the largest (sum, mean,"
        " std, var)",
        "ACRO, p% rule",
    ),
    RuleNote(
        "dof", ("min_dof",), Severity.BLOCK,
        "a figure of spread (std, var) has at least this many degrees of freedom: entities less one; a regression:"
        " entities less columns", "ACRO",
    ),
    RuleNote(
        "zero_cell", ("structural_zeros",), Severity.BLOCK,
        "no combination of labels is empty unless declared, and no cell holds the whole of a margin", "SDC handbook",
    ),
    RuleNote(
        "class_disclosure", ("share_low", "share_high"), Severity.BLOCK,
        "the members of a cell do not all share one value, and a published share lies within these limits",
        "SDC handbook",
    ),
    RuleNote(
        "extreme", ("extreme_entities",), Severity.BLOCK,
        "a min, max, median, percentile or mode is the value of at least this many entities; then it still needs"
        " review", "OpenSAFELY",
    ),
    RuleNote(
        "differencing", ("min_difference",), Severity.BLOCK,
        "the populations of an output are equal to those of every output that left before (same entry, any unit, any"
        " version of the data) or differ by at least this many entities; no sum or difference of its figures and"
        " earlier ones rests on fewer; no small group between them has fewer possible sizes", "SDC handbook, Shuzha",
    ),
    RuleNote(
        "differencing_later", (), Severity.NOTE,
        "advice compares with what the own unit released: a submission with everything", "Shuzha",
    ),
    RuleNote(
        "leverage", ("max_leverage",), Severity.BLOCK,
        "no entity has this share of its own fitted value in a regression, no term is of one entity or follows from"
        " others", "SACRO guide",
    ),
    RuleNote(
        "standard_errors", (), Severity.REVIEW,
        "standard errors exist (else block), and where entities have several rows they are clustered", "Shuzha",
    ),
    RuleNote(
        "plot", (), Severity.BLOCK,
        "a figure is drawn by the platform from a table that it judged; a picture without its table does not pass",
        "SACRO guide",
    ),
    RuleNote("unknown_aggregate", (), Severity.BLOCK, "a figure that no rule here covers does not pass", "Shuzha"),
    RuleNote("specification", (), Severity.BLOCK, "a specification is of the grammar and fits the data", "Shuzha"),
    RuleNote(
        "checker_failed", ("files.seconds",), Severity.BLOCK, "a check that failed has not passed", "Shuzha",
    ),
    RuleNote("label_pii", (), Severity.BLOCK, "no identifier stands in a heading, label, cell or file name", "Shuzha"),
    RuleNote(
        "file_type", ("files.depth",), Severity.BLOCK,
        "the content is of a type on the list, whatever the name says", "Shuzha",
    ),
    RuleNote(
        "canonical", ("files.digits", "files.integer_digits"), Severity.NOTE,
        "a file leaves as the platform writes it; the figure says how many values that changed", "Shuzha",
    ),
    RuleNote(
        "opaque_values", (), Severity.BLOCK,
        "at most two values of a column or text are hashes, tokens, encoded bytes or numbers of 16 digits", "Shuzha",
    ),
    RuleNote(
        "hidden_text", (), Severity.REVIEW, "no word mixes letters of scripts that look alike", "Shuzha",
    ),
    RuleNote(
        "picture_detail", ("files.picture_bits",), Severity.BLOCK,
        "a picture compresses as a chart does: noise and photographs may hold anything", "Shuzha",
    ),
    RuleNote(
        "row_overlap", ("files.overlap_rows", "files.overlap_share"), Severity.BLOCK,
        "no rows of a granted release are found again, in whatever dress; fewer than ten such rows need review",
        "Shuzha",
    ),
    RuleNote(
        "row_risk", ("files.audience",), Severity.BLOCK,
        "a table that consists of a release's rows has classes as large as its audience's mode asks for",
        "GB/T 42460 annex D (k and tau)",
    ),
    RuleNote(
        "file_size",
        (
            "files.files", "files.bytes", "files.rows", "files.columns", "files.cell", "files.pixels",
            "files.elements",
        ),
        Severity.BLOCK, "rows, bytes and number of files stay within the limits", "Shuzha",
    ),
    RuleNote("scope", (), Severity.BLOCK, "a specification reads only what the grant gives", "Shuzha"),
    RuleNote(
        "kernel_differs", (), Severity.REVIEW,
        "the notebook's own bytes agree with what the platform computed, which is what is released", "Shuzha",
    ),
    RuleNote(
        "rerun_differs", (), Severity.BLOCK,
        "the notebook, run again from top to bottom, declares every output that is meant", "Shuzha",
    ),
    RuleNote(
        "session_differs", (), Severity.REVIEW,
        "the clean room makes what the author's session had declared; of cells that show something else a note says"
        " which", "Shuzha",
    ),
    RuleNote(
        "own_files", (), Severity.REVIEW,
        "the clean room shows files that the unit brought in: people judge what they add to an output", "Shuzha",
    ),
    RuleNote("free_form", (), Severity.REVIEW, "people judge what the platform cannot compute itself", "Shuzha"),
    RuleNote(
        "suppressed", (), Severity.NOTE,
        "cells that a rule blocks were left out, with others so that no margin gives them back",
        "SDC handbook",
    ),
    RuleNote(
        "repair_failed", (), Severity.NOTE,
        "the repair that was asked for protects no choice of cells, so the table stays as it was", "Shuzha",
    ),
    RuleNote("rounding", ("round_base",), Severity.NOTE, "a repair is on offer for blocked cells", "OpenSAFELY (5)"),
    RuleNote(
        "claims_counted_later", (), Severity.NOTE,
        "advice counts no claim over raw rows: a submission does", "Shuzha",
    ),
    *(RuleNote(*one) for one in MODEL_NOTES),
)  # fmt: skip
