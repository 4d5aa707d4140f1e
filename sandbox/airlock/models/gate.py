"""The model gate: one declared model becomes findings, evidence, and the bytes that would be released in its place."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.inputs import Source
from sandbox.airlock.models.apart import Caps, WorkerFailed, ask
from sandbox.airlock.models.evidence import Answer, Refusal
from sandbox.airlock.models.judging import judge_answer
from sandbox.airlock.models.rules import ModelRules
from sandbox.airlock.models.specification import ModelSpecification
from sandbox.airlock.models.training import write_numbers, write_rows

_PREFIX: Final = "model-"
_KEPT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """What the gate says of a model. `content` is what may leave, None where nothing may; `evidence` is JSON."""

    format: str
    findings: tuple[Finding, ...]
    content: bytes | None
    evidence: bytes


class Worker(Protocol):
    """Whoever reads and measures a model apart from the platform: `apart.ask`."""

    def __call__(
        self, data: bytes, specification: ModelSpecification, table: Path | None, *, least: int,
        also: Sequence[Path] = (), caps: Caps | None = None,
    ) -> Answer | Refusal:  # fmt: skip
        """Return what it says; raises WorkerFailed where it cannot."""
        ...


class ModelGate:
    """Judges declared models by the rules in force. A model that is not measured does not pass.

    `folder` is where the rows lie while a model is measured over them: the platform's own, closed to others.
    """

    def __init__(
        self, rules: ModelRules | None = None, caps: Caps | None = None, worker: Worker = ask, *,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self.rules = rules or ModelRules()
        self._caps = caps
        self._worker = worker
        self._folder = folder

    def with_rules(self, rules: ModelRules) -> ModelGate:
        """Return this gate, judging by other parameters."""
        return ModelGate(rules, self._caps, self._worker, folder=self._folder)

    def judge(
        self, data: bytes, specification: ModelSpecification, source: Source, others: Sequence[Source] = ()
    ) -> ModelVerdict:
        """Return the verdict on a model that says it was trained on this source; never better than review.

        `others` are the other releases that the notebook could read: their rows are looked for in the model too.

        Raises Invalid for a specification that does not fit the release. A crash or a timeout of the worker blocks.
        """
        with self._space() as folder:
            table = Path(folder) / "rows.parquet"
            write_rows(specification, source, table)
            # Of the declared release too: rows beside those that the model is said to be of may be in it.
            read = [source, *others]
            also = [Path(folder) / f"other-{place}.parquet" for place in range(len(read))]
            for other, path in zip(read, also, strict=True):
                write_numbers(other, path)
            try:
                answer = self._worker(
                    data, specification, table, least=self.rules.leaf_entities, also=also, caps=self._caps
                )
            except WorkerFailed as error:
                accepted = "a model that can be read and measured with the memory and time that a model may take"
                finding = Finding("model_evidence", Severity.BLOCK, accepted, place=str(error))
                return ModelVerdict("", (finding,), None, b"{}")
        if isinstance(answer, Refusal):
            finding = Finding(answer.rule, Severity.BLOCK, answer.accepted, place=answer.place)
            return ModelVerdict("", (finding,), None, msgspec.json.encode(answer))
        findings = judge_answer(answer, specification, self.rules)
        kept = {
            "declared": specification, "format": answer.format, "types": answer.types, "family": answer.family,
            "numbers": answer.numbers, "measured": answer.evidence, "failed": answer.failed,
            "findings": [one.as_dict() for one in findings],
        }  # fmt: skip
        return ModelVerdict(answer.format, tuple(findings), answer.content, msgspec.json.encode(kept))

    @contextmanager
    def _space(self) -> Iterator[str]:
        """Give a folder for the rows of one model; what a killed process left of its own a day ago goes too."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for left in self._folder.glob(f"{_PREFIX}*"):
                if time.time() - left.stat().st_mtime > _KEPT_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self._folder) as folder:
            yield folder
