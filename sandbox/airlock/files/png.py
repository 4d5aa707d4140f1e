"""PNG images decoded to pixels and encoded anew: what leaves is what is seen, with few shades and nothing beside it.

Of a picture the platform keeps its size and its visible colours: transparency is laid on white, each colour has 32
shades, no chunk but the image itself is written, one filter and one compression. A picture that still does not
compress is noise or a photograph and may hold anything; charts do compress. Interlaced images are refused.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from sandbox.airlock.files.kinds import PNG, FileType, Limits, Read, Unreadable, too_large
from sandbox.airlock.findings import Finding, Severity

Pixels = npt.NDArray[np.uint8]
Colours = npt.NDArray[np.float32]

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_SHADES: Final = 32


def read_png(data: bytes, limits: Limits) -> Read:
    """Return a PNG read: its pixels decoded within bounds and written anew."""
    chunks = list(_chunks(data))
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    if not (width and height) or width * height > limits.pixels:
        return Read(FileType.PNG, (too_large(f"1 to {limits.pixels} pixels", width * height, limits.pixels),))
    if rest != [0, 0, 0] or depth not in _DEPTHS.get(colour, ()):
        raise Unreadable("an interlaced image, or one of no known kind")
    lines = _unpacked(b"".join(body for kind, body in chunks if kind == b"IDAT"), width, height, depth, colour)
    palette = next((body for kind, body in chunks if kind == b"PLTE"), b"")
    clear = next((body for kind, body in chunks if kind == b"tRNS"), b"")
    seen = _seen(_samples(lines, width, depth, colour), depth, colour, palette, clear)
    step = 255 / (_SHADES - 1)
    made = (np.rint(np.rint(seen / step) * step)).astype(np.uint8)
    written = _encoded(made)
    bits = round(8 * len(written) / (width * height), 3)
    findings: tuple[Finding, ...] = ()
    if len(written) > 4_096 and bits > limits.picture_bits:
        accepted = (
            f"a picture that compresses to {limits.picture_bits} bits a pixel: a chart, no photograph and no noise"
        )
        findings = (Finding("picture_detail", Severity.BLOCK, accepted, None, bits, limits.picture_bits),)
    return Read(FileType.PNG, findings, None if findings else written, changed=int(written != data))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG; raises unless all are sound, first and last are in place, and nothing follows."""
    place, first, kind = len(PNG), True, b""
    while place < len(data):
        if len(data) - place < 12:
            raise Unreadable("a chunk that is cut off")
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body, check = data[place + 8 : place + 8 + length], data[place + 8 + length : place + 12 + length]
        if len(body) != length or check != struct.pack(">I", zlib.crc32(kind + body)) or first != (kind == b"IHDR"):
            raise Unreadable("a chunk that is not sound")
        if first and length != 13:
            raise Unreadable("a header of another length")
        first, place = False, place + 12 + length
        yield kind, body
        if kind == b"IEND" and place != len(data):
            raise Unreadable("bytes after the end of the image")
    if first or kind != b"IEND":
        raise Unreadable("an image without an end")


def _unpacked(data: bytes, width: int, height: int, depth: int, colour: int) -> Pixels:
    """Return the bytes of each line with its filter undone; no more is inflated than the header asks for."""
    length = (width * _CHANNELS[colour] * depth + 7) // 8
    size = height * (length + 1)
    inflater = zlib.decompressobj()
    raw = inflater.decompress(data, size)
    if len(raw) != size or inflater.decompress(inflater.unconsumed_tail, 1) or inflater.unused_data:
        raise Unreadable("more or fewer bytes than the image has")
    lines = np.frombuffer(raw, np.uint8).reshape(height, length + 1)
    if int(lines[:, 0].max()) > 4:
        raise Unreadable("a filter that is none")
    return _unfiltered(lines[:, 1:], lines[:, 0], max(1, _CHANNELS[colour] * depth // 8))


def _unfiltered(lines: Pixels, filters: Pixels, step: int) -> Pixels:
    """Return the lines with filters undone: along the diagonals, where no byte needs another of its own diagonal."""
    height, length = lines.shape
    wide = -(-length // step)
    known = np.zeros((height + 1, wide + 1, step), np.int16)
    coded = np.zeros((height, wide * step), np.int16)
    coded[:, :length] = lines
    coded = coded.reshape(height, wide, step)
    for diagonal in range(height + wide - 1):
        rows = np.arange(max(0, diagonal - wide + 1), min(height, diagonal + 1))
        places = diagonal - rows
        left, above, corner = known[rows + 1, places], known[rows, places + 1], known[rows, places]
        guess = _predicted(filters[rows], left, above, corner)
        known[rows + 1, places + 1] = (coded[rows, places] + guess) & 0xFF
    return known[1:, 1:].reshape(height, wide * step)[:, :length].astype(np.uint8)


def _predicted(
    filters: Pixels, left: npt.NDArray[np.int16], above: npt.NDArray[np.int16], corner: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    """Return what each line's filter (none, sub, up, average, Paeth; PNG section 9) foresaw for these bytes."""
    kind = filters[:, None]
    guess = left + above - corner
    by_left, by_above, by_corner = abs(guess - left), abs(guess - above), abs(guess - corner)
    paeth = np.where(
        (by_left <= by_above) & (by_left <= by_corner), left, np.where(by_above <= by_corner, above, corner)
    )
    return np.select([kind == 1, kind == 2, kind == 3, kind == 4], [left, above, (left + above) // 2, paeth], 0).astype(
        np.int16
    )


def _samples(lines: Pixels, width: int, depth: int, colour: int) -> Pixels:
    """Return each pixel's samples; of 16 bits the upper eight, of fewer than eight their number."""
    channels = _CHANNELS[colour]
    if depth == 16:
        return lines[:, ::2].reshape(len(lines), width, channels)
    if depth == 8:
        return lines.reshape(len(lines), width, channels)
    bits = np.unpackbits(lines, axis=1).reshape(len(lines), -1, depth)
    values: Pixels = (bits * (1 << np.arange(depth - 1, -1, -1))).sum(axis=2).astype(np.uint8)
    return values[:, :width, None]


def _seen(samples: Pixels, depth: int, colour: int, palette: bytes, clear: bytes) -> Colours:
    """Return the colours that somebody sees, three a pixel, on white paper."""
    shape = samples.shape[:2]
    alpha: Colours = np.ones(shape, np.float32)
    if colour == 3:
        table = np.frombuffer(palette, np.uint8)
        if not len(table) or len(table) % 3 or int(samples.max()) >= len(table) // 3:
            raise Unreadable("a palette that lacks a colour")
        opacity = np.full(256, 255, np.uint8)
        opacity[: len(clear)] = np.frombuffer(clear[:256], np.uint8)
        picture: Colours = table.reshape(-1, 3)[samples[:, :, 0]].astype(np.float32)
        alpha = (opacity[samples[:, :, 0]] / 255).astype(np.float32)
    else:
        scale = np.float32(255 / ((1 << depth) - 1)) if depth < 8 else np.float32(1)
        picture = samples[:, :, : 1 if colour in (0, 4) else 3].astype(np.float32) * scale
        if colour in (4, 6):
            alpha = (samples[:, :, -1] / 255).astype(np.float32)
    picture = np.broadcast_to(picture, (*shape, 3))
    # What is all but transparent is seen by nobody: it is paper.
    paper = np.where(alpha < 1 / 16, np.float32(1), 1 - alpha)[:, :, None]
    seen: Colours = (picture * (1 - paper) + 255 * paper).astype(np.float32)
    return seen


def _encoded(picture: Pixels) -> bytes:
    """Return pixels as a PNG of one fixed form: by palette where 256 colours do, else three bytes a pixel."""
    height, width = picture.shape[:2]
    packed = picture.astype(np.uint32)
    codes = (packed[:, :, 0] << 16) | (packed[:, :, 1] << 8) | packed[:, :, 2]
    colours, index = np.unique(codes, return_inverse=True)
    chunks: list[tuple[bytes, bytes]] = []
    if len(colours) <= 256:
        kind, lines = 3, index.reshape(height, width).astype(np.uint8)
        table = np.stack([(colours >> 16) & 255, (colours >> 8) & 255, colours & 255], axis=1).astype(np.uint8)
        chunks.append((b"PLTE", table.tobytes()))
    else:
        kind, lines = 2, picture.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1).tobytes()
    chunks = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return PNG + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
