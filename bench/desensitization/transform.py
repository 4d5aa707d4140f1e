"""Transform beside the floor of reading, hashing, slicing and writing by hand; FF1 beside the package ff3.

Every run is a process of its own, in turns, the better of two; FF1 and ff3 are timed in processor time on one thread.
The table has 12 columns: 2 pseudonymized, 2 masked, 3 generalized, 5 kept; the floor's table must be equal to ours.
The 100 M rows are a folder of hard links to the same ten files, read in their order. `--quick` makes it small and
leaves the 100 M rows out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rivals import run_rival

KEY = bytes(range(32))
FILE_ROWS = 1_000_000
PREAMBLE = """
import json, os, resource, sys, time
from pathlib import Path
import polars as pl
import desensitize
from desensitize import Plan
from desensitize.transform.keys import SecretKey
KEY = bytes(range(32))
def done(began, **more):
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_gb": used.ru_maxrss / 1e6, **more}))
"""
MAKE = """
import numpy as np
folder, files, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
folder.mkdir()
areas = np.array(["330102", "330105", "330106", "330108", "330109", "330110", "330203", "330205", "330302", "110105"])
def zeros(name, size): return pl.col(name).cast(pl.String).str.zfill(size)
for number in range(files):
    chance = np.random.default_rng(number)
    frame = pl.DataFrame({
        "area": areas[chance.integers(0, 10, rows)], "birth_date": chance.integers(0, 20000, rows).astype(np.int32),
        "seq": chance.integers(0, 1000, rows), "m": chance.integers(0, 10**9, rows),
        "c": chance.integers(0, 10**15, rows),
        "wage": chance.integers(2000, 60000, rows), "woman": chance.integers(0, 2, rows) == 1,
        "unit": chance.integers(0, 50000, rows), "paid": chance.integers(0, 10**7, rows) / 100,
    }).with_columns(pl.col("birth_date").cast(pl.Date))
    frame.select(
        resident_id=pl.format("{}{}{}X", "area", pl.col("birth_date").dt.strftime("%Y%m%d"), zeros("seq", 3)),
        account=pl.format("62{}{}", zeros("c", 15), pl.col("seq") % 10), mobile=pl.format("13{}", zeros("m", 9)),
        email=pl.format("user{}@example.cn", "m"), area="area", birth_date="birth_date", wage="wage",
        sex=pl.when("woman").then(pl.lit("女")).otherwise(pl.lit("男")), employer=pl.format("单位{}", "unit"),
        paid="paid", month=pl.lit("2026-05"), status=pl.lit("正常"),
    ).write_parquet(folder / f"{number:03}.parquet")
print("{}")
"""
FLOOR = """
import polars_hash as plh
def pseudonym(name, domain):
    key = SecretKey(KEY).derive("pseudonym", "hmac-sha256", domain).hex()
    return plh.col(name).chash.hmac_sha256(key=key).str.head(32)
began = time.perf_counter()
low = pl.col("wage") // 1000 * 1000
pl.scan_parquet(sorted(Path(sys.argv[1]).glob("*.parquet"))).select(
    pseudonym("resident_id", "person"), pseudonym("account", ""),
    pl.concat_str(pl.col("mobile").str.head(3), pl.lit("****"), pl.col("mobile").str.tail(4)).alias("mobile"),
    pl.concat_str(pl.col("email").str.head(1), pl.lit("****")).alias("email"),
    pl.concat_str(pl.col("area").str.head(4), pl.lit("00")).alias("area"),
    pl.col("birth_date").dt.strftime("%Y-%m"), pl.format("[{},{})", low, low + 1000).alias("wage"),
    "sex", "employer", "paid", "month", "status",
).sink_parquet(sys.argv[2])
done(began)
"""
PLAN = """
plan = Plan.from_dict({"columns": {
    "resident_id": {"technique": "pseudonymize", "domain": "person"}, "account": "pseudonymize",
    "mobile": {"technique": "mask", "keep_first": 3, "keep_last": 4}, "email": {"technique": "mask", "keep_first": 1},
    "area": {"technique": "generalize", "kind": "region", "level": "city"},
    "birth_date": {"technique": "generalize", "kind": "date", "level": "month"},
    "wage": {"technique": "generalize", "kind": "number", "width": 1000},
    **dict.fromkeys(("sex", "employer", "paid", "month", "status"), "keep"),
}})
"""
OURS = (
    PLAN
    + """
from desensitize.writing import Parts, store
began = time.perf_counter()
release = desensitize.apply(sys.argv[1], plan, key=KEY)
parts = Parts(int(sys.argv[3]), {}) if len(sys.argv) > 3 else None
out = store(release.frame, Path(sys.argv[2]), lambda table, folder: None, parts=parts)
rows = pl.scan_parquet(out / "*.parquet").select(pl.len()).collect().item()
done(began, parts=len(list(out.glob("*.parquet"))), rows=rows)
"""
)
WHOLE = (
    PLAN
    + """
began = time.perf_counter()
desensitize.apply(sys.argv[1], plan, key=KEY).write(sys.argv[2])
done(began)
"""
)
HASH = """
from desensitize.fingerprint import hash_content
from desensitize.tables import open_table
began = time.perf_counter()
content, rows = hash_content(open_table(sys.argv[1]))
done(began, rows=rows, content=content)
"""
ENCRYPT = """
import random
from desensitize.transform.encryption import decrypt_column
from desensitize.transform.techniques import Encrypt
rows, chance = int(sys.argv[1]), random.Random(1)
column = pl.Series("c", [f"{chance.randrange(10**18):018}" for _ in range(rows)])
made = desensitize.apply(column.to_frame(), Plan.from_dict({"columns": {"c": "encrypt"}}), key=KEY).frame
began, start = time.perf_counter(), time.process_time()
encrypted = made.collect()["c"]
seconds = time.process_time() - start
same = decrypt_column(encrypted, Encrypt(), KEY).equals(column)
done(began, rate=rows / seconds, unchanged=int((encrypted == column).sum()), back=same)
"""
CIPHER = """
import numpy as np
from desensitize.transform.ff1 import FF1
rows = int(sys.argv[1])
first, last = (np.random.default_rng(n).integers(0, 10**9, rows).astype(np.uint64) for n in (1, 2))
began, start = time.perf_counter(), time.process_time()
FF1(KEY, 10, bytes(7)).encrypt(first, last, 18)
rate = rows / (time.process_time() - start)
digits = "0123456789abcdefghijklmnopqrstuvwxyz"
longest = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94")
keys = [longest[:size] for size in (16, 24, 32)]
inputs = [(10, "", "0123456789"), (10, "39383736353433323130", "0123456789"),
          (36, "3737373770717273373737", "0123456789abcdefghi")]
wanted = ["2433477484", "6124200773", "a9tv40mll9kdu509eum", "2830668132", "2496655549", "xbj3kv35jrawxv32ysr",
          "6657667009", "1001623463", "xs8a0azh2avyalyzuwd"]
def text(number, base, length):
    made = ""
    for _ in range(length): number, digit = divmod(int(number), base); made = digits[digit] + made
    return made
equal = 0
for key in keys:
    for base, tweak, value in inputs:
        half, size = len(value) // 2, len(value)
        halves = [np.array([int(part, base)], dtype=np.uint64) for part in (value[:half], value[half:])]
        one, two = FF1(key, base, bytes.fromhex(tweak)).encrypt(*halves, size)
        equal += text(one[0], base, half) + text(two[0], base, size - half) == wanted.pop(0)
done(began, rate=rate, nist_samples_equal=equal)
"""
FF3 = """
import json, random, time
from ff3 import FF3Cipher
cipher = FF3Cipher("2DE79D232DF5585D68CE47882AE256D6", "CBD09280979564")
values = [f"{random.randrange(10**18):018}" for _ in range(5000)]
began = time.process_time()
for value in values: cipher.encrypt(value)
print(json.dumps({"rate": len(values) / (time.process_time() - began)}))
"""


def run(code: str, *arguments: object, threads: int | None = None) -> Any:
    """Return what a process of this Python prints; refuses one that fails."""
    environment = {**os.environ, **({} if threads is None else {"POLARS_MAX_THREADS": str(threads)})}
    command = [sys.executable, "-c", PREAMBLE + code, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.strip().splitlines()[-1])


def remove(path: Path) -> None:
    """Remove a file, or a folder of files."""
    if path.is_dir():
        for inner in path.iterdir():
            inner.unlink()
        path.rmdir()
    else:
        path.unlink()


def compare(folder: Path, files: int, rows: int) -> dict[str, Any]:
    """Return the seconds and peaks of the floor and of the engine on the same files, and whether they are equal."""
    floors, ours = [], []
    for turn in range(2):
        floors.append(run(FLOOR, folder / "in", folder / "floor.parquet"))
        ours.append(run(OURS, folder / "in", folder / "ours"))
        if turn == 0:
            same = run(
                "left, right = (pl.scan_parquet(p) for p in sys.argv[1:])\n"
                "from desensitize.fingerprint import hash_content\n"
                "print(json.dumps(hash_content(left) == hash_content(right)))",
                folder / "floor.parquet", folder / "ours/data.parquet",
            )  # fmt: skip
            hashed = run(HASH, folder / "ours")
        remove(folder / "floor.parquet")
        remove(folder / "ours")
    whole = run(WHOLE, folder / "in", folder / "whole")
    remove(folder / "whole")
    floor, our = (min(one, key=lambda each: each["seconds"]) for one in (floors, ours))
    return {
        "rows": files * rows, "floor_seconds": round(floor["seconds"], 2), "seconds": round(our["seconds"], 2),
        "times_floor": round(our["seconds"] / floor["seconds"], 3), "times_floor_wanted": "<= 1.5",
        "floor_cpu_seconds": round(floor["cpu_seconds"], 2), "cpu_seconds": round(our["cpu_seconds"], 2),
        "peak_gb": round(our["peak_gb"], 2), "peak_gb_wanted": "<= 4", "equal_to_floor": same,
        "with_certificate_seconds": round(whole["seconds"], 2), "with_certificate_peak_gb": round(whole["peak_gb"], 2),
        "content_hash_seconds_per_million_rows": round(hashed["seconds"] / files / rows * 1e6, 3),
    }  # fmt: skip


def run_long(folder: Path, links: int) -> dict[str, Any]:
    """Return how the same files, linked many times over, run to the end in parts."""
    long = folder / "long"
    long.mkdir()
    for number in range(links):
        for path in sorted((folder / "in").iterdir()):
            os.link(path, long / f"{number:03}-{path.name}")
    made = run(OURS, long, folder / "out", 5_000_000)
    hashed = run(HASH, folder / "out")
    remove(folder / "out")
    remove(long)
    return {
        "rows": made["rows"], "parts": made["parts"], "seconds": round(made["seconds"], 1),
        "peak_gb": round(made["peak_gb"], 2), "peak_gb_wanted": "<= 8", "hash_rows": hashed["rows"],
        "hash_seconds": round(hashed["seconds"], 1), "hash_peak_gb": round(hashed["peak_gb"], 2),
    }  # fmt: skip


def encrypt(rows: int) -> dict[str, Any]:
    """Return values a second of FF1 alone and of a whole column (nothing unchanged), beside ff3, one thread each."""
    ours, column, rival = run(CIPHER, rows, threads=1), run(ENCRYPT, rows, threads=1), run_rival("ff3", FF3)
    return {
        "ff1_per_second": round(ours["rate"]), "column_per_second": round(column["rate"]),
        "ff3_per_second": round(rival["rate"]), "times_ff3": round(ours["rate"] / rival["rate"], 1),
        "column_times_ff3": round(column["rate"] / rival["rate"], 1), "times_ff3_wanted": ">= 30",
        "nist_samples_equal": f"{ours['nist_samples_equal']} of 9", "cells_unchanged": column["unchanged"],
        "decrypts": column["back"],
    }  # fmt: skip


def main(arguments: list[str]) -> None:
    quick = "--quick" in arguments
    files, rows = (2, 100_000) if quick else (10, FILE_ROWS)
    found: dict[str, Any] = {"encrypt": encrypt(50_000 if quick else 1_000_000)}
    with tempfile.TemporaryDirectory(prefix="shuzha-bench-") as name:
        folder = Path(name)
        run(MAKE, folder / "in", files, rows)
        found["transform"] = compare(folder, files, rows)
        if not quick:
            found["long"] = run_long(folder, 10)
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
