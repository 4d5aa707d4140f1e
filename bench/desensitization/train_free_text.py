"""Fits the trees of `desensitize/freetext/scoring.py` and says how they do on sentences they were not fitted on.

python bench/desensitization/train_free_text.py [--write]

It reads the development sentences alone, never the frozen ones, and says what is taken wrongly at a given coverage,
cross-validated by sentence. `--write` fits on all of them and writes `desensitize/freetext/trees.npz`.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold

from desensitize.freetext.reading import split_sentences
from desensitize.freetext.scoring import find_signs
from desensitize.freetext.tagger import simple_characters, tag
from desensitize.freetext.view import view

ROOT = Path(__file__).resolve().parents[2]
DATA = ("hard_development.jsonl", "hard_development_2.jsonl")
SETTINGS = {"max_iter": 160, "learning_rate": 0.06, "max_leaf_nodes": 12, "l2_regularization": 3.0}
Row = dict[str, Any]


def read_rows() -> list[Row]:
    paths = [ROOT / "tests/data/free_text" / name for name in DATA]
    lines = [line for path in paths if path.is_file() for line in path.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines if line.strip()]


def with_others(row: Row, names: list[str], random_: random.Random) -> Row:
    """Return the row with other people of the same length in place of its own, so that no name is learned."""
    text = row["text"]
    for start, end, kind in row["spans"]:
        same = [one for one in names if len(one) == end - start]
        if kind == "PERSON" and same and random_.random() < 0.8:
            text = text[:start] + random_.choice(same) + text[end:]
    return {**row, "text": text}


def signs_of(rows: list[Row]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return the signs of each character that is tagged, whether it must go, and the number of its row."""
    signs, must, numbers = [], [], []
    for number, row in enumerate(rows):
        read = view(row["text"], simple_characters())
        gold = {place for start, end, _ in row["spans"] for place in range(start, end)}
        for begin, sentence in split_sentences(read.text):
            signs.append(find_signs(sentence, tag([sentence])[0]))
            places = range(begin, begin + len(sentence))
            must += [(read.places[place] if read.places else place) in gold for place in places]
            numbers += [number] * len(sentence)
    return np.concatenate(signs), np.array(must), np.array(numbers)


def fit(signs: npt.NDArray[np.float32], must: npt.NDArray[np.bool_], seed: int = 0) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(random_state=seed, **SETTINGS).fit(signs, must)


def as_arrays(model: HistGradientBoostingClassifier) -> dict[str, npt.NDArray[Any]]:
    """Return the trees as plain arrays; a leaf leads to itself."""
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("sign", "limit", "left", "right", "value")}
    roots, offset, depth = [], 0, 0
    for (tree,) in model._predictors:  # noqa: SLF001 - scikit-learn offers no public way to its trees
        nodes = tree.nodes
        own = np.arange(len(nodes)) + offset
        leaf = nodes["is_leaf"].astype(bool)
        parts["sign"].append(np.where(leaf, 0, nodes["feature_idx"]).astype(np.uint16))
        parts["limit"].append(np.where(leaf, 0, nodes["num_threshold"]).astype(np.float32))
        parts["left"].append(np.where(leaf, own, nodes["left"] + offset).astype(np.uint16))
        parts["right"].append(np.where(leaf, own, nodes["right"] + offset).astype(np.uint16))
        parts["value"].append(np.where(leaf, nodes["value"], 0).astype(np.float32))
        roots.append(offset)
        offset += len(nodes)
        depth = max(depth, int(nodes["depth"].max()))
    arrays = {name: np.concatenate(some) for name, some in parts.items()}
    first = np.asarray(model._baseline_prediction, np.float64).ravel()  # noqa: SLF001
    return {**arrays, "roots": np.array(roots, np.uint16), "first": first, "depth": np.array([depth], np.uint16)}


def main(flags: list[str]) -> None:
    random_ = random.Random(20240607)
    rows = read_rows()
    names = sorted({row["text"][a:b] for row in rows for a, b, kind in row["spans"] if kind == "PERSON"})
    signs, must, numbers = signs_of(rows)
    more = [signs_of([with_others(row, names, random_) for row in rows]) for _ in range(2)]
    chances = np.zeros(len(must))
    for fitted, held in GroupKFold(5).split(signs, must, numbers):
        kept = set(numbers[fitted].tolist())
        some = [(one[0][m], one[1][m]) for one in more for m in [np.isin(one[2], list(kept))]]
        model = fit(
            np.concatenate([signs[fitted], *(one for one, _ in some)]),
            np.concatenate([must[fitted], *(one for _, one in some)]),
        )
        chances[held] = model.predict_proba(signs[held])[:, 1]
    for asked in (0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98):
        limit = float(np.quantile(chances[must], 1 - asked))
        wrong = (chances[~must] >= limit).mean()
        print(f"coverage {asked:.2f}: limit {limit:.3f}, taken wrongly {wrong:.3f}", flush=True)
    if "--write" in flags:
        whole = [(signs, must), *(one[:2] for one in more)]
        model = fit(np.concatenate([one for one, _ in whole]), np.concatenate([one for _, one in whole]))
        np.savez_compressed(ROOT / "desensitize/freetext/trees.npz", **as_arrays(model))


if __name__ == "__main__":
    main(sys.argv[1:])
