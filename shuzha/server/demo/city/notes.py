"""Free text that clerks leave in a register: most rows have none, some hold identifiers in the middle of a sentence."""

from __future__ import annotations

import numpy as np
import polars as pl

from shuzha.server.demo.city import draws
from shuzha.server.demo.city.draws import Integers

_SHARE = 0.06
# Each template with its share; the columns in braces are the row's own person, another person, or an enterprise.
_TEMPLATES: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("补缴", (), 20.0),
    ("单位批量申报", (), 18.0),
    ("转入本市，原参保地已停保", (), 12.0),
    ("本人电话{}，已核对", ("mobile",), 16.0),
    ("代办人{}，身份证号{}", ("other_name", "other_id"), 10.0),
    ("身份证{}与户籍信息一致", ("resident_id",), 6.0),
    ("联系地址变更为{}", ("address",), 6.0),
    ("由{}（统一社会信用代码{}）代缴", ("company", "uscc"), 6.0),
    ("请回电{}（{}）确认缴费基数", ("other_mobile", "other_name"), 4.0),
    ("已发短信至{}和{}", ("mobile", "other_mobile"), 2.0),
)


def notes(
    random: np.random.Generator, person: Integers, residents: pl.DataFrame, enterprises: pl.DataFrame
) -> pl.Series:
    """Return a note for each row i, which is about `residents[person[i]]`; about six in a hundred are not null."""
    count = len(person)
    noted = np.flatnonzero(random.random(count) < _SHARE)
    template = draws.places(random, [share for *_, share in _TEMPLATES], len(noted))
    facts = _facts(random, person[noted], residents, enterprises).with_columns(
        row=pl.Series(noted), template=pl.Series(template)
    )
    written = pl.concat(
        [
            facts.filter(pl.col("template") == place).select(
                "row", (pl.format(text, *columns) if columns else pl.lit(text)).alias("note")
            )
            for place, (text, columns, _) in enumerate(_TEMPLATES)
        ]
    ).sort("row")
    rows = pl.DataFrame({"row": np.arange(count, dtype=np.int64)})
    return rows.join(written, on="row", how="left", maintain_order="left")["note"]


def _facts(
    random: np.random.Generator, person: Integers, residents: pl.DataFrame, enterprises: pl.DataFrame
) -> pl.DataFrame:
    other = draws.integers(random, 0, max(1, len(residents)), len(person))
    own = residents.select("mobile", "resident_id", "address")[person]
    others = residents.select(other_name="name", other_id="resident_id", other_mobile="mobile")[other]
    if not len(enterprises):
        nobody = pl.Series([None] * len(person), dtype=pl.String)
        return pl.concat([own, others, pl.DataFrame({"company": nobody, "uscc": nobody})], how="horizontal")
    firm = draws.integers(random, 0, len(enterprises), len(person))
    return pl.concat([own, others, enterprises.select(company="name", uscc="uscc")[firm]], how="horizontal")
