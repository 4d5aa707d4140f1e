"""People, what they are to be told from, and models of them as analysts would hand them in."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import polars as pl
import skops.io
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sandbox.airlock.inputs import Source
from sandbox.airlock.models.specification import Holdout, ModelSpecification
from sandbox.airlock.models.training import is_held_out

warnings.filterwarnings("ignore", module="sklearn")
COLUMNS = ["age", "income", "rooms", "debt"]
HOLDOUT = Holdout(0.3, "w")


def people(count: int = 1200, seed: int = 1) -> pl.DataFrame:
    """Return people of whom age and income say, with much chance in it, whether they pay late."""
    random = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "person": [f"r{one}" for one in range(count)],
            "age": random.integers(18, 90, count).astype(float),
            "income": random.lognormal(8, 1, count).round(2),
            "rooms": random.integers(1, 6, count),
            "debt": random.normal(100, 30, count).round(2),
            "place": random.choice(["north", "south", "west"], count),
        }
    )
    raw = (frame["age"].to_numpy() - 50) / 20 + np.log(frame["income"].to_numpy()) - 8
    late = raw + random.normal(0, 1.2, count) > 0
    return frame.with_columns(pl.Series("late", late.astype(int)), pl.Series("owed", raw + random.normal(0, 1, count)))


def source(frame: pl.DataFrame, entity: str | None = "person") -> Source:
    """Return the frame as a granted release."""
    return Source(
        "rel_1", "people", "grt_1", "dem_1", "aut_1", "org_unit", "ent_1", "20", "people", 1, entity, False,
        tuple(frame.columns), frame.lazy(),
    )  # fmt: skip


@dataclass(frozen=True)
class World:
    """People with those held out, and what a model of them is declared as."""

    frame: pl.DataFrame

    @property
    def held(self) -> Any:
        return np.array(is_held_out(HOLDOUT, self.frame["person"].to_list()))

    @property
    def table(self) -> Any:
        return self.frame.select(COLUMNS).to_numpy()

    def train(self, model: Any, target: str = "late") -> Any:
        """Return the model, fitted to all who are not held out."""
        return model.fit(self.table[~self.held], self.frame[target].to_numpy()[~self.held])

    def declared(self, **changes: Any) -> ModelSpecification:
        told: dict[str, Any] = {
            "release": "people", "columns": COLUMNS, "target": "late", "task": "classification", "holdout": HOLDOUT,
        } | changes  # fmt: skip
        return ModelSpecification(**told)


@cache
def world(count: int = 1200, seed: int = 1) -> World:
    return World(people(count, seed))


def as_skops(model: Any) -> bytes:
    return bytes(skops.io.dumps(model))


def as_onnx(model: Any, table: Any, **options: Any) -> bytes:
    return bytes(to_onnx(model, table[:1].astype(np.float32), **options).SerializeToString())


def changed_onnx(data: bytes, change: Any) -> bytes:
    """Return the ONNX file after `change` was done to it."""
    model = onnx.load_model_from_string(data)
    change(model)
    return bytes(model.SerializeToString())


def logistic(world_: World) -> Any:
    return world_.train(make_pipeline(StandardScaler(), LogisticRegression()))


def tree(world_: World, depth: int = 3, least: int = 20) -> Any:
    return world_.train(DecisionTreeClassifier(max_depth=depth, min_samples_leaf=least, random_state=0))


def mixed(frame: pl.DataFrame) -> tuple[Any, Any]:
    """Return a pipeline over numbers and texts, fitted, and the table that it was fitted to."""
    table = np.empty((frame.height, 3), dtype=object)
    for place, name in enumerate(("age", "income", "place")):
        table[:, place] = frame[name].to_list()
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    parts = ColumnTransformer([("n", numbers, [0, 1]), ("k", OneHotEncoder(handle_unknown="ignore"), [2])])
    return make_pipeline(parts, LogisticRegression()).fit(table, frame["late"].to_numpy()), table
