"""How likely each character must go: a score learned from what the tagger says around it.

The rules of `people`, `addresses` and `organisations` know the forms that somebody thought of. The score knows no name
and no sentence: it weighs 150 signs (the tagger's chances of the kinds of words here and beside, where words begin,
surnames, roles, forms of address, house numbers) with gradient-boosted trees (Friedman 2001). The trees were fitted by
`bench/desensitization/train_free_text.py` on the development sentences alone, and are kept as plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from desensitize.freetext.common import common_words
from desensitize.freetext.tagger import GROUPS, Tagged
from desensitize.freetext.words import all_surnames, characters, place_names, surnames, words

_AROUND = 2
_BATCH_CHARACTERS = 20_000
_LONGEST_MARK = 4
_ROWS = 1_000
_NAMES = 4  # the first groups of the tagger's chances are names: person, place, organisation, other
_Floats = npt.NDArray[np.float32]


@cache
def _marks() -> tuple[frozenset[str], ...]:
    """Return the lists of words whose nearness is a sign, those that stand before a name first."""
    people = {name: words("people", name) for name in ("roles", "kin", "naming", "before", "forms", "kin_after")}
    return (
        people["roles"] | people["kin"] | people["naming"],
        people["before"],
        people["forms"] | people["kin_after"],
        words("people", "predicates") | words("people", "personal"),
        words("people", "after"),
        words("addresses", "fine"),
        words("addresses", "before"),
        words("organisations", "ends") | words("organisations", "trades"),
        words("organisations", "public"),
    )


@cache
def _classes() -> tuple[frozenset[str], ...]:
    """Return the classes of characters that are signs."""
    return (
        surnames(),
        all_surnames() - surnames(),
        characters("given"),
        frozenset("0123456789"),
        frozenset("一二三四五六七八九十两"),
        frozenset("号栋楼幢座室组弄层排门区期院单元户家"),
        frozenset("前后旁边里东西南北头面上下侧对隔壁"),
    )


def score(sentences: Sequence[str], tagged: Sequence[Tagged]) -> list[bytes]:
    """Return for each character of each sentence how likely it must go, in 255ths."""
    made: list[bytes] = []
    held: list[int] = []
    size = 0
    for index, sentence in enumerate(sentences):
        held.append(index)
        size += len(sentence)
        if size >= _BATCH_CHARACTERS or index == len(sentences) - 1:
            signs = np.concatenate([find_signs(sentences[one], tagged[one]) for one in held])
            chances = np.rint(read_trees().predict(signs) * 255).astype(np.uint8).tobytes()
            place = 0
            for one in held:
                made.append(chances[place : place + len(sentences[one])])
                place += len(sentences[one])
            held, size = [], 0
    return made


def find_signs(sentence: str, tagged: Tagged) -> _Floats:
    """Return the signs of each character, shape (characters, signs)."""
    length = len(sentence)
    chances = np.frombuffer(tagged.chances, np.uint8).reshape(length, GROUPS).astype(np.float32)
    kinds = [np.fromiter((one in some for one in sentence), np.float32, length) for some in _classes()]
    kinds.append(np.fromiter(("一" <= one <= "鿿" for one in sentence), np.float32, length))
    kinds.append(np.fromiter((one.isalnum() for one in sentence), np.float32, length))
    beside = np.column_stack([chances, *kinds])
    padded = np.pad(beside, ((_AROUND, _AROUND), (0, 0)), constant_values=-1)
    around = [padded[step : step + length] for step in range(2 * _AROUND + 1)]
    return np.concatenate([*around, _of_words(sentence, tagged, chances), _of_marks(sentence)], axis=1)


def _of_words(sentence: str, tagged: Tagged, chances: _Floats) -> _Floats:
    """Return what is told of the tagger's word that holds a character, and of its neighbours."""
    table = np.zeros((len(tagged.words) + 2, _NAMES + 5), np.float32)
    number = np.zeros(len(sentence), np.int64)
    for index, (start, end, _) in enumerate(tagged.words, 1):
        own = sentence[start:end]
        number[start:end] = index
        table[index, :_NAMES] = chances[start:end, :_NAMES].max(0)
        table[index, _NAMES:] = (
            end - start,
            own in common_words(),
            own in place_names(),
            own[0] in all_surnames() and len(own) < 4,
            all(one in characters("given") for one in own),
        )
    return np.concatenate([table[number], table[number - 1], table[number + 1]], axis=1)


def _of_marks(sentence: str) -> _Floats:
    """Return for each list of marks how far before and behind a character one stands, up to six characters."""
    length = len(sentence)
    table = np.full((length, 2 * len(_marks())), 7, np.float32)
    pieces = [
        (start, end, sentence[start:end])
        for start in range(length)
        for end in range(start + 1, min(start + _LONGEST_MARK, length) + 1)
    ]
    for column, some in enumerate(_marks()):
        for start, end, piece in pieces:
            if piece in some:
                for place in range(end, min(end + 6, length)):
                    table[place, 2 * column] = min(table[place, 2 * column], place - end + 1)
                for place in range(max(0, start - 6), end):
                    table[place, 2 * column + 1] = min(table[place, 2 * column + 1], max(0, start - place))
    return table


class Trees:
    """Boosted trees as arrays: for each node the sign asked for, its limit and the two nodes that follow."""

    def __init__(self, arrays: dict[str, npt.NDArray[np.float64]]) -> None:
        self._sign = arrays["sign"].astype(np.int64)
        self._limit = arrays["limit"].astype(np.float32)
        self._left = arrays["left"].astype(np.int64)
        self._right = arrays["right"].astype(np.int64)
        self._value = arrays["value"]
        self._roots = arrays["roots"].astype(np.int64)
        self._first = float(arrays["first"][0])
        self._depth = int(arrays["depth"][0])
        self.highest_sign = int(self._sign.max())

    def predict(self, signs: _Floats) -> npt.NDArray[np.float64]:
        """Return a chance for each row; all trees are walked at once, some rows at a time."""
        parts = [self._totals(signs[begin : begin + _ROWS]) for begin in range(0, len(signs), _ROWS)]
        result: npt.NDArray[np.float64] = 1 / (1 + np.exp(-np.concatenate(parts)))
        return result

    def _totals(self, signs: _Floats) -> npt.NDArray[np.float64]:
        node = np.tile(self._roots, (len(signs), 1))
        flat = np.ascontiguousarray(signs).ravel()
        first = np.arange(len(signs))[:, None] * signs.shape[1]
        for _ in range(self._depth):
            below = flat[first + self._sign[node]] <= self._limit[node]
            node = np.where(below, self._left[node], self._right[node])
        total: npt.NDArray[np.float64] = self._value[node].sum(1) + self._first
        return total


@cache
def read_trees() -> Trees:
    """Return the fitted trees."""
    with resources.files("desensitize.freetext").joinpath("trees.npz").open("rb") as file:
        return Trees(dict(np.load(file, allow_pickle=False)))
