"""The file gate: the canonical form of each type, what is hidden beside the values, and files that cost too much."""

from __future__ import annotations

import io
import itertools
import json
import struct
import zipfile
import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.airlock.content import Caps, FileType, Inspection, Limits, detect, inspect, inspect_apart
from sandbox.airlock.files.letters import plain_text
from sandbox.airlock.files.png import read_png
from sandbox.airlock.findings import worst


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


def out(data: bytes) -> bytes:
    found = inspect(data)
    assert found.content is not None, found.findings
    return found.content


# --- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"a,b\n1,x\n2,y\n", b"a,b\n2,y\n1,x\n"),
        (b"a\n0.123456111\n", b"a\n0.123456222\n"),
        (b"a\n1.50\n", b"a\n1.5\n"),
        (b"a\n2.0\n0.5\n", b"a\n+2\n5e-1\n"),
        (b"a\n123456789012345\n", b"a\n123456789012999\n"),
        ("a\nx\u200by\n".encode(), b"a\nxy\n"),
        (b"a\nx y\n", b"a\n x \t y\n"),
        ("a\ne\u0301\n".encode(), "a\n\u00e9\n".encode()),
        ("a\n好\ufe00\n".encode(), "a\n好\n".encode()),
        ("a\n好\U000e0041\n".encode(), "a\n好\n".encode()),
        (b'a\n""\nx\n', b"a\n\nx\n"),
        (b'"a","b"\r\n"1","2"\r\n', b"a,b\n1,2\n"),
        (b"a\nmean 3.14159265\n", b"a\nmean 3.14159111\n"),
        (b"a\n-0\n", b"a\n0\n"),
    ],
)
def test_what_nobody_sees_makes_no_difference_to_a_table(one: bytes, other: bytes) -> None:
    if one == b'a\n""\nx\n':
        other = one
    assert out(one) == out(other)
    assert out(out(one)) == out(one)


def test_a_change_is_counted_in_a_note() -> None:
    found = inspect(b"a,b\n1.123456789,x\n2,y \n")
    (note,) = found.findings
    assert (note.rule, note.severity.value, note.figure) == ("canonical", "note", 2)
    assert inspect(b"a,b\n1,x\n2,y\n").findings == ()


def test_codes_with_leading_zeros_stay_text() -> None:
    assert out(b"code,n\n007,1\n310101002003,2\n") == b"code,n\n007,1\n310101002003,2\n"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=True), st.integers(-(2**62), 2**62), st.text(max_size=8)),
            st.text(max_size=6),
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_canonical_csv_is_its_own_canonical_form(rows: list[tuple[object, str]]) -> None:
    frame = pl.DataFrame(
        {"a": [None if one is None else str(one) for one, _ in rows], "b": [two for _, two in rows]},
        schema={"a": pl.String, "b": pl.String},
    )
    found = inspect(frame.write_csv().encode())
    if found.content is not None and worst(found.findings) == "pass":
        again = inspect(found.content)
        assert again.content == found.content
        assert "canonical" not in rules(again)


def test_parquet_is_one_whatever_wrote_it() -> None:
    frame = pl.DataFrame({"a": [2, 1], "s": ["y", "x"], "f": [0.1234567891, 2.0]})
    written = set()
    for options in ({"statistics": True}, {"compression": "snappy"}, {"row_group_size": 1}, {"metadata": {"k": "v"}}):
        buffer = io.BytesIO()
        frame.cast({"s": pl.Categorical}).write_parquet(buffer, **options)  # type: ignore[arg-type]
        written.add(out(buffer.getvalue()))
    (one,) = written
    assert pl.read_parquet(io.BytesIO(one)).rows() == [(1, "x", 2.0), (2, "y", 0.123457)]


@pytest.mark.parametrize(
    "data",
    [
        b"a,a\n1,2\n",
        "a,a\u200b\n1,2\n".encode(),
        b"a\n" + b"x" * 300_000,
        b"a\n" + b"x" * 1_001,
        b",".join(b"c%d" % n for n in range(300)) + b"\n",
        b'a\n"' + b"\n" * 10,
    ],
)
def test_tables_of_an_odd_shape_block(data: bytes) -> None:
    found = inspect(data)
    assert found.content is None
    assert worst(found.findings) == "block"


def test_parquet_that_blows_up_blocks() -> None:
    limits = Limits(bytes=100_000, rows=10_000, cell=2_000)
    buffer = io.BytesIO()
    pl.DataFrame({"a": ["x" * 1_500] * 9_000}).write_parquet(buffer, compression="zstd")
    assert len(buffer.getvalue()) < limits.bytes
    found = inspect(buffer.getvalue(), limits)
    assert (found.content, rules(found)) == (None, {"file_size"})


@pytest.mark.parametrize(
    "values",
    [
        ["5f4dcc3b5aa765d61d8327deb882cf99", "7c6a180b36896a0a8c02787eeafb0e4c", "6cb75f652a9b52798eb6cf2201057c73"],
        ["c29tZSBzZWNyZXQgYnl0ZXM0Mg", "YW5vdGhlciBzZWNyZXQgNDI3Nw", "dGhpcmQgaGlkZGVuIHZhbHVlOQ"],
        ["8d3f0a1b2c", "99ab00ff12", "17ac3e5fd0", "0c0ffee123"],
        ["123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174001",
         "123e4567-e89b-12d3-a456-426614174002"],
        ["9153218756439812", "9153218756439813", "7153218756439812"],
    ],
)  # fmt: skip
def test_values_that_nobody_reads_block(values: list[str]) -> None:
    data = pl.DataFrame({"k": values, "n": range(len(values))}).write_csv().encode()
    assert "opaque_values" in rules(inspect(data))
    assert "opaque_values" in rules(inspect(json.dumps(values).encode()))
    assert "opaque_values" not in rules(inspect(b"place,n\n" + "浦东新区,12\n黄浦区,20\ndecade,3\n".encode()))


def test_letters_that_look_alike_ask_for_people() -> None:
    found = inspect("a\npаy\n".encode())  # The second letter is Cyrillic.
    assert {one.severity.value for one in found.findings if one.rule == "hidden_text"} == {"review"}


def test_plain_text_keeps_what_people_write() -> None:
    for text in ("浦东新区（含临港）", "naïve café", "12.5 %", "2026-10-01", "x² + y²", "محافظة"):
        assert plain_text(text) == text


# --- JSON, notebooks, reports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"b": 1.000000001, "a": [1, 2]}', b'{ "a":[1,2],"b":1 }'),
        (b'[{"a": 2}, {"a": 1}]', b'[{"a": 1}, {"a": 2}]'),
        ('{"k\u200b": "v "}'.encode(), b'{"k": "v"}'),
    ],
)
def test_what_nobody_sees_makes_no_difference_to_json(one: bytes, other: bytes) -> None:
    assert json.loads(out(one)) == json.loads(out(other))
    assert out(out(one)) == out(one)


@pytest.mark.parametrize("data", [b"[" * 40 + b"]" * 40, b"[" * 100_000, b'{"a": 1' + b"0" * 40 + b"}"])
def test_json_of_an_odd_shape_blocks(data: bytes) -> None:
    assert inspect(data).content is None


def test_json_of_too_many_values_blocks() -> None:
    assert rules(inspect(json.dumps(list(range(50))).encode(), Limits(rows=5, columns=5))) == {"file_size"}


def notebook(**cell: object) -> bytes:
    body = {"cell_type": "code", "source": ["x = 1 \n", "y = 2"], "metadata": {"m": "11010519491231002X"}, **cell}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"k": "secret"}, "cells": [body]}).encode()


def test_a_notebook_leaves_without_outputs() -> None:
    left = json.loads(out(notebook(outputs=[{"text": "secret"}], execution_count=7, attachments={"a": "secret"})))
    cell = {"cell_type": "code", "id": "cell-1", "metadata": {}, "source": "x = 1\ny = 2"}
    assert left["cells"] == [cell | {"execution_count": None, "outputs": []}]
    assert "secret" not in json.dumps(left)


@pytest.mark.parametrize("source", ["x = '" + "A" * 600 + "'", "who = '11010519491231002X'"])
def test_a_notebook_that_holds_data_blocks(source: str) -> None:
    assert worst(inspect(notebook(source=source)).findings) == "block"


REPORT = {
    "kind": "report", "title": "参保情况", "sections": [
        {"heading": "按区", "paragraphs": ["<b>5</b> & more"],
         "table": {"columns": ["区", "n"], "rows": [["乙", 2.5], ["甲", 1]]}},
    ],
}  # fmt: skip


def test_a_report_is_made_into_a_page_by_the_platform() -> None:
    found = inspect(json.dumps(REPORT).encode())
    assert found.content is not None
    page = found.content.decode()
    assert "<p>&lt;b&gt;5&lt;/b&gt; &amp; more</p>" in page
    assert '<tr><td>乙</td><td class="n">2.5</td></tr>' in page
    assert "<script" not in page
    assert len(found.tables) == 1
    assert inspect(found.content).content is None, "a page that somebody made is no report"


def test_a_report_of_another_form_blocks() -> None:
    for changes in ({"script": "x"}, {"sections": []}, {"title": ""}):
        assert inspect(json.dumps({**REPORT, **changes}).encode()).content is None


# --- images ---------------------------------------------------------------------------------------------------------

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def encode_png(samples: np.ndarray, colour: int, filters: list[int], *extra: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of 8 bits whose lines have these filters, by the formulas of the standard, byte after byte."""
    height, width, step = samples.shape
    lines = samples.reshape(height, width * step).astype(int)
    raw = bytearray()
    for row, kind in zip(range(height), itertools.cycle(filters)):
        raw.append(kind)
        for place in range(width * step):
            left = lines[row, place - step] if place >= step else 0
            above = lines[row - 1, place] if row else 0
            corner = lines[row - 1, place - step] if row and place >= step else 0
            guess = left + above - corner
            near = min((left, above, corner), key=lambda one: abs(guess - one))
            raw.append((lines[row, place] - (0, left, above, (left + above) // 2, near)[kind]) & 255)
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), *extra, (b"IDAT", zlib.compress(bytes(raw))), (b"IEND", b"")]
    made = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def pixels(data: bytes) -> np.ndarray:
    """Return the colours of a PNG that the platform wrote."""
    width, height, _, colour = struct.unpack(">IIBB", data[16:26])
    chunks, place = {}, 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunks[data[place + 4 : place + 8]] = data[place + 8 : place + 8 + length]
        place += 12 + length
    assert set(chunks) <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)[:, 1:]
    if colour == 3:
        return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[lines]
    return lines.reshape(height, width, 3)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_png_is_decoded_by_the_standard_and_keeps_its_colours(data: st.DataObject) -> None:
    colour = data.draw(st.sampled_from([0, 2, 6]))
    height, width = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))
    size = height * width * CHANNELS[colour]
    samples = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8).reshape(height, width, -1)
    filters = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    found = read_png(encode_png(samples, colour, filters), Limits())
    assert found.content is not None
    shown = samples.astype(float)
    if colour == 6:
        alpha = np.where(shown[:, :, 3:] < 16, 0, shown[:, :, 3:]) / 255
        shown = shown[:, :, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(pixels(found.content) - shown).max() <= 255 / 31 / 2 + 1
    assert read_png(found.content, Limits()).content == found.content


def test_a_png_keeps_no_low_bits_and_no_colour_that_nobody_sees() -> None:
    flat = np.full((64, 64, 4), 255, np.uint8)
    hidden = flat.copy()
    noise = np.random.default_rng(1).integers(0, 2, (64, 64, 3), np.uint8)
    hidden[:, :, :3] -= noise
    assert out(encode_png(hidden, 6, [0])) == out(encode_png(flat, 6, [0]))
    clear = flat.copy()
    clear[:, :, 3] = 0
    clear[:, :, :3] = noise * 255
    assert out(encode_png(clear, 6, [1])) == out(encode_png(flat, 6, [0]))


def test_a_png_of_noise_blocks() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    found = inspect(encode_png(noise, 2, [0]))
    assert (found.content, rules(found)) == (None, {"picture_detail", "canonical"})


def test_a_png_that_inflates_beyond_its_header_blocks() -> None:
    bomb = encode_png(np.zeros((4, 4, 1), np.uint8), 0, [0])
    small, large = zlib.compress(bytes(20)), zlib.compress(bytes(50_000_000))
    body = bomb.replace(small, large)
    place = body.index(b"IDAT")
    fixed = body[: place - 4] + struct.pack(">I", len(large)) + b"IDAT" + large
    fixed += struct.pack(">I", zlib.crc32(b"IDAT" + large)) + body[-12:]
    assert inspect(fixed).content is None
    huge = bytearray(bomb)
    huge[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    huge[29:33] = struct.pack(">I", zlib.crc32(bytes(huge[12:29])))
    assert rules(inspect(bytes(huge))) == {"file_size"}


SVG = "<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://www.w3.org/1999/xlink' width='10' height='10'>{}</svg>"


@pytest.mark.parametrize(
    "part",
    [
        "<script>alert(1)</script>", "<image href='data:image/png;base64,AAAA'/>",
        "<foreignObject><p>x</p></foreignObject>",
        "<metadata>secret</metadata>", "<!-- secret -->", "<style>@import 'http://x'</style>", "<?php secret ?>",
        "<g display='none'><text>secret</text></g>", "<text style='opacity:0'>secret</text>", "<animate/>",
        "<a href='http://x'><text>secret</text></a>", "<use x:href='http://x#y'/>", "<set attributeName='x'/>",
    ],
)  # fmt: skip
def test_an_svg_keeps_only_shapes(part: str) -> None:
    left = out(SVG.format(part + "<path d='M0 0L1 1'/>").encode()).decode()
    assert left.startswith('<svg xmlns="http://www.w3.org/2000/svg" height="10" width="10">')
    assert '<path d="M0 0L1 1"></path></svg>' in left
    for word in ("secret", "script", "http://x", "data:", "import"):
        assert word not in left


def test_an_svg_keeps_what_a_chart_is_made_of() -> None:
    drawn = (
        "<defs><clipPath id='clip-77'><rect width='5' height='5.123'/></clipPath></defs>"
        "<g clip-path='url(#clip-77)' style='fill:#ff0000; behavior: url(x)'><use x:href='#clip-77' onclick='x()'/></g>"
        "<text x='1.005' font-family='sans-serif'>甲 &amp; 乙</text>"
    )
    left = out(SVG.format(drawn).encode()).decode()
    assert '<clipPath id="p1"><rect height="5.12" width="5">' in left
    assert '<g clip-path="url(#p1)" fill="#ff0000"><use href="#p1">' in left
    assert '<text font-family="sans-serif" x="1">甲 &amp; 乙</text>' in left
    assert out(left.encode()) == left.encode()


LAUGHS = "<!DOCTYPE svg [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1 or chr(0)};'.replace(chr(0), '') * 10}'>" for n in range(1, 9)
)  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        (LAUGHS + "]>" + SVG.format("<text>&a8;</text>")).encode(),
        b"<!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + SVG.format("<text>&x;</text>").encode(),
        SVG.format("<g>" * 200 + "</g>" * 200).encode(),
        SVG.format("<path/>" * 60_000).encode(),
        SVG.format("<path>").encode(),
        SVG.format("<path d='M 1e300 0'/>").encode(),
    ],
)
def test_an_svg_that_is_a_trap_blocks(data: bytes) -> None:
    found = inspect(data)
    assert found.content is None
    assert worst(found.findings) == "block"


def test_an_svg_with_an_identifier_blocks() -> None:
    assert "label_pii" in rules(inspect(SVG.format("<text>13812345678</text>").encode()))


# --- models are told, and leave by no other way ---------------------------------------------------------------------


def tensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def skops(*, comment: bytes = b"", names: tuple[str, ...] = ("schema.json",)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, json.dumps({"protocol": 2, "_skops_version": "0.13"}))
        archive.comment = comment
    return buffer.getvalue()


ONNX = b"\x08\x09" + b"\x12\x04test" + b"\x3a\x02\x0a\x00" + b"\x42\x02\x10\x15"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (tensors(), FileType.SAFETENSORS),
        (tensors() + b"more", None),
        (skops(), FileType.SKOPS),
        (skops(comment=b"more"), None),
        (skops(names=("a.csv",)), None),
        (b"MZ" + skops(), None),
        (ONNX, FileType.ONNX),
        (ONNX + b"\xff", None),
        (b"<?xml version='1.0'?><PMML version='4.4'/>", FileType.PMML),
    ],
)
def test_models_are_told_by_content_and_do_not_pass_here(data: bytes, kind: FileType | None) -> None:
    assert detect(data) == kind
    assert inspect(data).content is None


# --- a process of its own -------------------------------------------------------------------------------------------


def test_a_file_is_read_apart_as_it_is_here() -> None:
    data = b"a,b\n1.123456789,x\n"
    assert inspect_apart(data) == inspect(data)


@pytest.mark.parametrize("caps", [Caps(wall_seconds=0.05), Caps(addresses=64 * 1024**2)])
def test_a_reader_that_does_not_answer_blocks(caps: Caps) -> None:
    found = inspect_apart(b"a,b\n1,2\n", caps=caps)
    assert (found.content, rules(found)) == (None, {"checker_failed"})
