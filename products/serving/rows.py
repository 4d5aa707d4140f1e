"""From raw rows to subjects and claims: the only place where the index meets data.

What a claim means is said once, by the airlock (`sandbox.airlock.recompute`), which judged it; what a row filter means
is said once, by the releases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from products.serving.subjects import subject_hash
from sandbox.airlock.recompute import claim_frame
from sandbox.airlock.specification import VerificationSpecification
from shuzha.core.conditions import Condition
from shuzha.releases.filters import to_expression

BITS = "__bits"


def collect_subjects(
    rows: pl.LazyFrame, specification: VerificationSpecification, row_filter: Sequence[Condition]
) -> pl.DataFrame:
    """Return one row a subject: its fields as text and the claim bits; rows without a whole subject are left out.

    Refuses columns that the data lacks and conditions whose value is of another type.
    """
    granted = to_expression(row_filter, dict(rows.collect_schema()))
    answers = claim_frame(specification, rows if granted is None else rows.filter(granted))
    bits = [
        pl.col(claim.name).cast(pl.UInt8) * pl.lit(1 << place, pl.UInt8)
        for place, claim in enumerate(specification.claims)
    ]
    fields = [pl.col(name).cast(pl.String) for name in specification.subject]
    return answers.select(*fields, pl.sum_horizontal(bits).cast(pl.UInt8).alias(BITS)).collect(engine="streaming")


def hash_subjects(
    frame: pl.DataFrame, subject: Sequence[str], key: bytes
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return the subjects' keys as pairs of 64-bit words, and their claim bits."""
    columns = [frame[name].to_list() for name in subject]
    digests = b"".join([subject_hash(key, parts) for parts in zip(*columns, strict=True)])
    hashes = np.frombuffer(digests, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return hashes, frame[BITS].to_numpy().astype(np.uint8)
