"""`scan` beside presidio-analyzer: the same definitions on both sides, every cell, check digits on, one thread.

The rival runs our own recognizers (`desensitize.identifiers.recognizers`, those that are not weak) in the
AnalyzerEngine with the NoOp engine through BatchAnalyzerEngine, on the first rows of the same columns: its cost is
linear in cells (half of them took half the time: it is in the output). Seconds are those of the processor, which
for one thread on an idle machine are those of the clock. Then what is found is measured: recall and precision of
every identifier, and what a scan says of order numbers and of a column with some cards.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BAR = 300

RIVAL = """
import importlib.util, json, sys, time
import polars as pl
# The definitions alone: the package is known, but nothing of the engine around them is run.
spec = importlib.util.spec_from_file_location("desensitize", sys.argv[1] + "/__init__.py")
sys.modules["desensitize"] = importlib.util.module_from_spec(spec)
from desensitize.identifiers.recognizers import build_recognizers
from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import NoOpNlpEngine
registry = RecognizerRegistry(build_recognizers(weak=False), supported_languages=["zh"])
nlp = NoOpNlpEngine(models=[{"lang_code": "zh", "model_name": "none"}])
batch = BatchAnalyzerEngine(AnalyzerEngine(registry, nlp, supported_languages=["zh"]))
frame = pl.read_parquet(sys.argv[2])
columns = {name: frame[name].drop_nulls().to_list() for name in frame.columns}
batch.analyze_iterator(columns[frame.columns[0]][:200], language="zh", batch_size=200)
seconds, half, hits = {}, 0.0, {}
for name, cells in columns.items():
    began = time.process_time()
    first = batch.analyze_iterator(cells[: len(cells) // 2], language="zh", batch_size=1000)
    half += time.process_time() - began
    second = batch.analyze_iterator(cells[len(cells) // 2 :], language="zh", batch_size=1000)
    seconds[name] = time.process_time() - began
    hits[name] = sum(bool(one) for one in [*first, *second]) / len(cells)
print(json.dumps({"cells": sum(map(len, columns.values())), "seconds": seconds, "half": half, "hits": hits}))
"""


def _columns(rng: random.Random, size: int) -> dict[str, list[str]]:
    """Return the cells of a table as departments keep them: 24 text columns, of which nine are identifiers."""
    from desensitize.identifiers.examples import make_examples

    kinds = {
        "zjhm": "CN_RESIDENT_ID", "sjhm": "CN_MOBILE", "yhkh": "CN_BANK_CARD", "tyshxydm": "CN_USCC",
        "ip": "IP_ADDRESS", "dzyx": "EMAIL_ADDRESS", "cphm": "CN_PLATE", "zjdh": "CN_LANDLINE", "clsbdh": "CN_VIN",
    }  # fmt: skip
    draw = rng.randint
    makers: dict[str, Callable[[], str]] = {
        "xm": lambda: rng.choice("王李张刘陈杨赵黄周吴") + rng.choice("伟芳娜敏静丽强磊军洋") + rng.choice("一文明国"),
        "zz": lambda: f"浙江省杭州市{rng.choice('西湖上城拱墅滨江')}区文三路{draw(1, 999)}号{draw(1, 30)}室",
        "order16": lambda: str(draw(10**15, 10**16 - 1)),
        "order18": lambda: str(draw(10**17, 10**18 - 1)),
        "order19": lambda: str(draw(10**18, 10**19 - 1)),
        "slsj": lambda: f"2025-{draw(1, 12):02}-{draw(1, 28):02} {draw(0, 23):02}:{draw(0, 59):02}",
        "csrq": lambda: f"19{draw(40, 99)}-{draw(1, 12):02}-{draw(1, 28):02}",
        "qhdm": lambda: rng.choice(["330102", "330105", "330106", "330108", "330109"]),
        "xb": lambda: rng.choice("男女"),
        "zt": lambda: rng.choice(["办结", "受理", "退回", "转办"]),
        "je": lambda: f"{rng.uniform(0, 99999):.2f}",
        "ajbh": lambda: f"AJ{draw(2020, 2025)}-{draw(0, 10**8 - 1):08}",
        "sxmc": lambda: f"{rng.choice(['社保', '公积金', '户籍', '车驾管'])}业务{draw(1, 300)}号事项办理",
        "nr": lambda: f"来电人反映小区门口路灯损坏夜间出行不便，编号{draw(1, 10**7)}，请尽快回复",
    }
    columns = {name: make_examples(entity, size) for name, entity in kinds.items()}
    columns |= {name: [make() for _ in range(size)] for name, make in makers.items()}
    mobiles = make_examples("CN_MOBILE", size, 5)
    return {**columns, "lxnr": [f"来电人手机{number}要求尽快书面答复办理结果，谢谢" for number in mobiles]}


def make_table(rows: int) -> Any:
    """Return the table, every cell of it drawn for itself."""
    import polars as pl

    return pl.DataFrame(_columns(random.Random(1), rows))


def time_scan(path: str) -> None:
    """Print the seconds a scan takes, whole and column by column, in this process (one polars thread)."""
    import polars as pl

    import desensitize

    frame = pl.read_parquet(path)
    desensitize.scan(frame.head(1000))
    seconds = {}
    for name in frame.columns:
        began = time.process_time()
        desensitize.scan(frame.select(name))
        seconds[name] = time.process_time() - began
    began = time.process_time()
    report = desensitize.scan(frame)
    total = time.process_time() - began
    found = {one.name: [one.entities[0].entity if one.entities else "", one.hit_rate] for one in report}
    unique = {one.name: one.distinct / frame.height for one in report}
    print(json.dumps({"total": total, "seconds": seconds, "found": found, "unique": unique}))


def compare_speed(rows: int, rival_rows: int) -> dict[str, Any]:
    from rivals import run_rival

    frame = make_table(rows)
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole.parquet", Path(folder) / "part.parquet"
        frame.write_parquet(whole)
        frame.head(rival_rows).write_parquet(part)
        environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, __file__, "--time", whole], check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
        ours = json.loads(done.stdout.strip().splitlines()[-1])
        theirs = run_rival("presidio", RIVAL, str(ROOT / "desensitize"), str(part), threads=1)
    mine = rows * frame.width / ours["total"]
    his = theirs["cells"] / sum(theirs["seconds"].values())
    different = [name for name, share in ours["unique"].items() if share > 0.5]
    ratio = {
        name: round((rows / ours["seconds"][name]) / (rival_rows / theirs["seconds"][name])) for name in frame.columns
    }
    hard = (len(different) * rows / sum(ours["seconds"][name] for name in different)) / (
        len(different) * rival_rows / sum(theirs["seconds"][name] for name in different)
    )
    return {
        "rows": rows,
        "columns": frame.width,
        "cells_per_second": round(mine),
        "rival": "presidio-analyzer 2.2.366, NoOp engine, the same definitions, first rows of the same columns",
        "rival_rows": rival_rows,
        "rival_cells_per_second": round(his),
        "rival_half_of_the_cells_took": round(theirs["half"] / sum(theirs["seconds"].values()), 3),
        "ratio": round(mine / his),
        "ratio_of_columns_that_hardly_repeat": round(hard),
        "bar": BAR,
        "meets": mine / his >= BAR,
        "ratio_by_column": ratio,
        "found": ours["found"],
        "rival_hit_rate": {name: round(share, 4) for name, share in theirs["hits"].items()},
    }


FRAMES = ("{}", "请核实{}谢谢", "号码：{}，尽快处理", "（{}）备注")
NOISE: dict[str, Callable[[random.Random], str]] = {
    "order16": lambda rng: str(rng.randrange(10**15, 10**16)),
    "order18": lambda rng: str(rng.randrange(10**17, 10**18)),
    "order19": lambda rng: str(rng.randrange(10**18, 10**19)),
    "date": lambda rng: f"20{rng.randint(10, 25)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} 12:30:45",
    "amount": lambda rng: f"{rng.uniform(0, 10**7):.2f}",
    "case": lambda rng: f"〔2025〕{rng.randint(1, 9999)}号",
    "sentence": lambda rng: f"关于第{rng.randint(1, 999)}号提案的答复，共{rng.randint(1, 10**5)}元",
}


def measure_quality(count: int) -> dict[str, Any]:
    """Return recall and precision of every identifier by cell, alone and glued to Chinese, and of columns."""
    import polars as pl

    import desensitize
    from desensitize.identifiers.definitions import IDENTIFIERS
    from desensitize.identifiers.detectors import count_hits
    from desensitize.identifiers.examples import make_examples

    rng = random.Random(3)
    kinds = [one for one in IDENTIFIERS if not one.weak]
    cells = {one.entity: make_examples(one.entity, count, 9) for one in kinds}
    cells = {entity: [rng.choice(FRAMES).format(text) for text in texts] for entity, texts in cells.items()}
    decided = {
        entity: {
            hit.identifier.entity: hit.valid + hit.holds
            for hit in count_hits(pl.Series(texts), pl.Series([1] * count), kinds)
        }
        for entity, texts in cells.items()
    }
    result = {}
    for entity in cells:
        right = decided[entity].get(entity, 0)
        wrong = sum(hits.get(entity, 0) for other, hits in decided.items() if other != entity)
        result[entity] = {"recall": round(right / count, 4), "precision": round(right / max(1, right + wrong), 4)}
    columns = {}
    for one in IDENTIFIERS:
        name = one.words[0] if one.weak else "c"
        found = desensitize.scan(pl.DataFrame({name: make_examples(one.entity, count, 4)}))[name]
        columns[one.entity] = [found.entities[0].entity if found.entities else "", found.hit_rate]
    noise = {
        name: [
            one.entity for one in desensitize.scan(pl.DataFrame({"c": [make(rng) for _ in range(count)]}))["c"].entities
        ]
        for name, make in NOISE.items()
    }
    cards = make_examples("CN_BANK_CARD", count, 6)
    some = [card if place % 10 < 3 else NOISE["order19"](rng) for place, card in enumerate(cards)]
    mixed = desensitize.scan(pl.DataFrame({"c": some}))["c"]
    return {
        "cells_per_identifier": count,
        "by_identifier": result,
        "least_recall": min(one["recall"] for one in result.values()),
        "least_precision": min(one["precision"] for one in result.values()),
        "columns_named_right": sum(entity == told[0] for entity, told in columns.items()) / len(columns),
        "columns": columns,
        "noise_columns_flagged": noise,
        "thirty_percent_cards": {
            "mixed": mixed.mixed,
            "share": round(mixed.entities[0].share, 3),
            "evidence": mixed.evidence,
        },
    }


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--time"]:
        time_scan(arguments[1])
        return
    quick = "--quick" in arguments
    quality = measure_quality(2_000 if quick else 20_000)
    speed = compare_speed(20_000 if quick else 300_000, 200 if quick else 2_000)
    print(json.dumps({"speed": speed, "quality": quality}, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
