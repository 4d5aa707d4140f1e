"""The learned score: what goes into it, and that the trees are walked as their maker walks them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from desensitize.freetext.scoring import Trees, find_signs, read_trees, score
from desensitize.freetext.tagger import tag

BENCH = Path(__file__).resolve().parents[4] / "bench/desensitization"


def test_score_a_sentence_alone_as_in_company() -> None:
    sentences = ["请转告建国同志来电。", "材料齐全，予以受理。", "德顺急得直跺脚。"]
    together = score(sentences, tag(sentences))
    alone = [score([one], tag([one]))[0] for one in sentences]
    assert [len(one) for one in together] == [len(one) for one in sentences]
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(list(one), list(other), atol=2)


def test_score_names_above_ordinary_words() -> None:
    named, plain = score(
        ["请转告建国同志来电。", "材料齐全，予以受理。"], tag(["请转告建国同志来电。", "材料齐全，予以受理。"])
    )
    assert min(named[3:5]) > 50 > 10 > max(plain)


def test_signs_of_a_character_fit_the_trees() -> None:
    signs = find_signs("王芳来电。", tag(["王芳来电。"])[0])
    assert signs.shape[0] == 5
    assert signs.shape[1] > read_trees().highest_sign


def test_walk_trees_as_scikit_learn_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    training = import_module("train_free_text")
    random = np.random.default_rng(20240607)
    signs = random.normal(size=(3_000, 6)).astype(np.float32)
    must = signs[:, 0] * signs[:, 1] + signs[:, 2] > 0.3
    model = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8, random_state=0).fit(signs, must)
    ours = Trees(training.as_arrays(model)).predict(signs)
    assert np.allclose(ours, model.predict_proba(signs)[:, 1], atol=1e-5)
