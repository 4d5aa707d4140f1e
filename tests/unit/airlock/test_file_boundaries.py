"""Each rule and each limit of the file gate on both sides of its boundary."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fail_closed_kit import GivenInputs, a_request, vault

from sandbox.airlock import content
from sandbox.airlock.content import Inspection, Limits, inspect
from sandbox.airlock.model import ExportRequest
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Screener
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


def csv(rows: int = 3, columns: int = 2) -> bytes:
    heading = [f"c{place}" for place in range(columns)]
    return "\n".join(",".join(line) for line in (heading, *([["1"] * columns] * rows))).encode() + b"\n"


def parquet(rows: int = 3, columns: int = 2) -> bytes:
    buffer = io.BytesIO()
    pl.read_csv(csv(rows, columns)).write_parquet(buffer)
    return buffer.getvalue()


def png(grey: np.ndarray) -> bytes:
    """Return a PNG of one byte a pixel."""
    height, width = grey.shape
    raw = b"".join(b"\x00" + line.tobytes() for line in grey)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(raw)), (b"IEND", b""),
    ]  # fmt: skip
    made = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def svg(shapes: int) -> bytes:
    inside = b"<path d='M0 0L1 1'/>" * shapes
    return b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>" + inside + b"</svg>"


@pytest.mark.boundary(
    rule="file_size", parameter="files.rows", passes="a CSV or Parquet table of 10 rows where 10 is the limit",
    fails="of 11",
)  # fmt: skip
@pytest.mark.parametrize("made", [csv, parquet])
def test_rows_are_limited(made: Callable[..., bytes]) -> None:
    assert "file_size" not in rules(inspect(made(10), Limits(rows=10)))
    found = inspect(made(11), Limits(rows=10))
    assert (rules(found), found.content) == ({"file_size"}, None)


@pytest.mark.boundary(
    rule="file_size", parameter="files.columns", passes="a CSV or Parquet table of 200 columns", fails="of 201",
)  # fmt: skip
@pytest.mark.parametrize("made", [csv, parquet])
def test_columns_are_limited(made: Callable[..., bytes]) -> None:
    assert "file_size" not in rules(inspect(made(2, 200)))
    found = inspect(made(2, 201))
    assert (rules(found), found.content) == ({"file_size"}, None)


@pytest.mark.boundary(
    rule="file_size", parameter="files.cell", passes="a text of 1,000 letters in a table or in JSON", fails="of 1,001",
)  # fmt: skip
@pytest.mark.parametrize("written", [b"a\n%s\n", b'["%s"]'])
def test_letters_of_a_cell_are_limited(written: bytes) -> None:
    assert "file_size" not in rules(inspect(written % (b"word " * 200)[:-1].ljust(1_000, b"s")))
    found = inspect(written % (b"word " * 200).ljust(1_001, b"s"))
    assert (rules(found), found.content) == ({"file_size"}, None)


@pytest.mark.boundary(
    rule="file_size", parameter="files.pixels", passes="a picture of 64 pixels where 64 is the limit",
    fails="the same where 63 is",
)  # fmt: skip
def test_pixels_are_limited() -> None:
    picture = png(np.full((8, 8), 200, np.uint8))
    assert "file_size" not in rules(inspect(picture, Limits(pixels=64)))
    assert rules(inspect(picture, Limits(pixels=63))) == {"file_size"}


@pytest.mark.boundary(
    rule="file_size", parameter="files.elements", passes="a drawing of 5 elements where 5 is the limit", fails="of 6",
)  # fmt: skip
def test_shapes_are_limited() -> None:
    assert "file_size" not in rules(inspect(svg(4), Limits(elements=5)))
    assert rules(inspect(svg(5), Limits(elements=5))) == {"file_size"}


@pytest.mark.boundary(
    rule="file_size", parameter="files.files", passes="a request of 20 outputs",
    fails="of 21: the last is blocked, not left out unsaid",
)  # fmt: skip
def test_outputs_of_a_request_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "inspect_apart", content.inspect)  # Twenty processes show no more.
    request: ExportRequest = a_request()
    screener = Screener(GivenInputs(), vault(tmp_path), Rules(), Limits(seconds=20))
    few = [Declared(f"out{place}", OutputKind.FILE, "", None, b"", "text/csv") for place in range(21)]
    judged = screener.judge_all(request, few[:20], lambda *_: None)
    assert not any(finding.rule == "file_size" for one in judged for finding in one.findings)
    judged = screener.judge_all(request, few, lambda *_: None)
    assert [one.file.name for one in judged if {each.rule for each in one.findings} == {"file_size"}] == ["out20"]
    assert (len(judged), judged[-1].file.verdict, judged[-1].file.sha256) == (21, "block", "")


@pytest.mark.boundary(
    rule="file_type", parameter="files.depth", passes="JSON of 32 values in each other", fails="of 33",
)  # fmt: skip
def test_nesting_is_limited() -> None:
    at, over = (inspect(b"[" * depth + b"1" + b"]" * depth) for depth in (32, 33))
    assert "file_type" not in rules(at)
    assert (rules(over), over.content) == ({"file_type"}, None)


@pytest.mark.boundary(
    rule="canonical", parameter="files.digits", passes="a fraction of 6 digits: it leaves as it came",
    fails="of 7: it leaves with 6, and a note says so",
)  # fmt: skip
@pytest.mark.boundary(
    rule="canonical", parameter="files.integer_digits", passes="a whole number of 12 digits",
    fails="of 13: the last is set to zero, and a note says so",
)  # fmt: skip
@pytest.mark.parametrize(
    ("at", "over", "leaves"),
    [("0.123456", "0.1234567", b"0.123457"), ("123456789012", "1234567890127", b"1234567890120")],
)
def test_digits_are_limited(at: str, over: str, leaves: bytes) -> None:
    def canonical(found: Inspection) -> list[object]:
        return [finding.figure for finding in found.findings if finding.rule == "canonical"]

    same, other = (inspect(f"a\n{figure}\n".encode()) for figure in (at, over))
    assert (same.content, canonical(same)) == (f"a\n{at}\n".encode(), [])
    assert (other.content, canonical(other)) == (b"a\n%s\n" % leaves, [1])


@pytest.mark.boundary(
    rule="opaque_values", passes="two hashes, or two numbers of 16 digits, in a column", fails="three",
)  # fmt: skip
@pytest.mark.parametrize(
    "made", [lambda n: hashlib.md5(b"%d" % n).hexdigest(), lambda n: f"{9_153_218_756_439_812 + n}"]
)
def test_unreadable_values_are_few(made: Callable[[int], str]) -> None:
    for count, blocked in ((2, False), (3, True)):
        values = [made(place) for place in range(count)]
        for data in ("k\n" + "\n".join(values) + "\n", json.dumps(values)):
            assert ("opaque_values" in rules(inspect(data.encode()))) is blocked, data


@pytest.mark.boundary(
    rule="hidden_text", passes="words of one script each, also side by side",
    fails="a word of which one letter is of another script (review)",
)  # fmt: skip
def test_words_are_of_one_script() -> None:
    for word, severities in (("pay тариф 缴费", []), ("p\u0430y", ["review"])):
        found = inspect(f"a\n{word}\n".encode()).findings
        assert [one.severity.value for one in found if one.rule == "hidden_text"] == severities


@pytest.mark.boundary(
    rule="picture_detail", passes="a picture of just as many bits a pixel as the limit", fails="one that takes more",
)  # fmt: skip
def test_detail_of_a_picture_is_limited() -> None:
    noise = png(np.random.default_rng(1).integers(0, 256, (128, 128)).astype(np.uint8))
    (bits,) = (one.figure for one in inspect(noise).findings if one.rule == "picture_detail")
    assert isinstance(bits, float)
    assert bits > Limits().picture_bits
    assert "picture_detail" not in rules(inspect(noise, Limits(picture_bits=bits)))
    over = inspect(noise, Limits(picture_bits=bits - 0.001))
    assert ("picture_detail" in rules(over), over.content) == (True, None)
    assert "picture_detail" not in rules(inspect(png(np.full((128, 128), 90, np.uint8))))
