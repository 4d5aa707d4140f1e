"""From accepted estimators of scikit-learn to the steps of a program; each has a function that knows its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.inside.program import TREES, Array, Attribute, Step
from sandbox.airlock.models.problems import CODE, FORMAT, TYPE, ModelRefused
from sandbox.airlock.models.skops_nodes import Estimator, Slice
from sandbox.airlock.models.trees import check_trees

_ACTIVATIONS: Final = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "identity": "Identity"}
_OUTPUTS: Final = {"softmax": "Softmax", "logistic": "Sigmoid", "identity": "Identity"}
Output = tuple[str, tuple[str, ...]]


class Builder:
    """Collects the steps of one model over the declared columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.steps: list[Step] = []
        self.family = "linear"
        self._columns = tuple(columns)

    def model(self, one: Estimator, given: str) -> Output:
        """Add the steps of a model over value `given`; return the value that is its score, and its classes."""
        name = one.type.rpartition(".")[2]
        if name == "Pipeline":
            *before, last = [step[1] for step in one.get("steps")]
            for each in before:
                given = self.transform(each, given)
            return self.model(last, given)
        if name.startswith("Voting"):
            return self._voting(one, given)
        if name == "GaussianNB":
            mean, spread, prior = (np.asarray(one.get(key)) for key in ("theta_", "var_", "class_prior_"))
            raw = self._add("Gaussian", given, mean=mean, variance=spread, prior=prior)
            return self._add("Softmax", raw), _labels(one)
        if name.startswith("MLP"):
            return self._layers(one, given)
        if "Tree" in name or "Forest" in name:
            return self._trees(one, given, name)
        if one.get("coef_") is not None:
            return self._linear(one, given, name)
        raise ModelRefused(TYPE, f"{name} in the place of a model", "a fitted model at the end")

    def transform(self, one: Any, given: str) -> str:
        """Add the steps of a transformer; return the value that it gives."""
        if one in ("passthrough", None):
            return given
        if not isinstance(one, Estimator):
            raise ModelRefused(TYPE, "a transformer", "a fitted transformer, or passthrough")
        name = one.type.rpartition(".")[2]
        if name == "Pipeline":
            for _, each in one.get("steps"):
                given = self.transform(each, given)
            return given
        make = {
            "StandardScaler": self._standard, "MinMaxScaler": self._range, "SimpleImputer": self._impute,
            "OneHotEncoder": self._encode, "OrdinalEncoder": self._encode, "ColumnTransformer": self._parts,
            "FunctionTransformer": self._pass,
        }.get(name)  # fmt: skip
        if make is None:
            raise ModelRefused(TYPE, f"{name} in the place of a transformer", "scalers, encoders, imputers")
        return make(one, given)

    def _pass(self, one: Estimator, given: str) -> str:
        """Return what it got: `passthrough` becomes such a transformer when it is fitted."""
        if one.get("func") is not None or one.get("inverse_func") is not None or one.get("kw_args"):
            raise ModelRefused(CODE, "a FunctionTransformer with a function", "passthrough")
        return given

    def _standard(self, one: Estimator, given: str) -> str:
        mean, scale, width = one.get("mean_"), one.get("scale_"), int(one.get("n_features_in_"))
        return self._add(
            "Scale", given, offset=np.zeros(width) if mean is None else mean,
            scale=np.ones(width) if scale is None else 1.0 / np.asarray(scale),
        )  # fmt: skip

    def _range(self, one: Estimator, given: str) -> str:
        scale, least = np.asarray(one.get("scale_")), np.asarray(one.get("min_"))
        return self._add("Scale", given, offset=-least / scale, scale=scale)

    def _impute(self, one: Estimator, given: str) -> str:
        if one.get("indicator_") is not None or one.get("add_indicator"):
            raise ModelRefused(TYPE, "SimpleImputer with indicators", "add_indicator=False")
        return self._add("Impute", given, fill=np.asarray(one.get("statistics_"), np.float64))

    def _add(self, op: str, *given: str, **attributes: Any) -> str:
        kept: dict[str, Attribute] = {key: value for key, value in attributes.items() if value is not None}
        made = f"v{len(self.steps) + 1}"
        self.steps.append(Step(op, given, (made,), kept))
        return made

    def _linear(self, one: Estimator, given: str, name: str) -> Output:
        weights = np.atleast_2d(np.asarray(one.get("coef_"), np.float64))
        bias = np.atleast_1d(np.asarray(one.get("intercept_", 0.0), np.float64))
        raw = self._add("Affine", given, weights=weights.T.copy(), bias=bias)
        if name in ("LinearRegression", "Ridge", "Lasso", "ElasticNet", "LinearSVR"):
            return raw, ()
        holder = one.get("_label_binarizer") if name == "RidgeClassifier" else one
        labels = _labels(holder)
        if len(labels) == 2:
            return self._add("Two", self._add("Sigmoid", raw)), labels
        return self._add("Softmax", raw), labels

    def _layers(self, one: Estimator, given: str) -> Output:
        self.family = "network"
        weights, biases = one.get("coefs_"), one.get("intercepts_")
        for place, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
            given = self._add("Affine", given, weights=np.asarray(weight), bias=np.asarray(bias))
            last = place == len(weights)
            op = _OUTPUTS[one.get("out_activation_")] if last else _ACTIVATIONS[one.get("activation")]
            given = self._add(op, given)
        if one.type.endswith("Regressor"):
            return given, ()
        labels = _labels(one)
        return (self._add("Two", given) if len(labels) == 2 else given), labels

    def _trees(self, one: Estimator, given: str, name: str) -> Output:
        if self.family == "linear":
            self.family = "trees"
        trees = one.get("estimators_") if one.get("estimators_") is not None else [one]
        table = join([tree_table(each.get("tree_")) for each in trees])
        labels = _labels(one) if name.endswith("Classifier") else ()
        if int(one.get("n_outputs_", 1)) != 1 or (labels and table["value"].shape[1] != len(labels)):
            raise ModelRefused(TYPE, f"{name} of several outputs", "one target")
        if labels:
            # Each leaf's counts or shares become shares, as prediction has them.
            total = table["value"].sum(axis=1, keepdims=True)
            table["value"] = np.divide(table["value"], total, out=np.zeros_like(table["value"]), where=total != 0)
        check_trees(table)
        return self._add(TREES, given, aggregate="mean", **table), labels

    def _voting(self, one: Estimator, given: str) -> Output:
        made = [self.model(each, given) for each in one.get("estimators_")]
        if one.type.endswith("Classifier") and one.get("voting") != "soft":
            raise ModelRefused(TYPE, "VotingClassifier of votes", "voting='soft'")
        weights = one.get("weights") or [1.0] * len(made)
        total: str | None = None
        for (score, _), weight in zip(made, weights, strict=True):
            part = self._add("Scale", score, offset=np.zeros(1), scale=np.full(1, float(weight) / sum(weights)))
            total = part if total is None else self._add("Add", total, part)
        if total is None:
            raise ModelRefused(FORMAT, "a vote of nobody", "at least one estimator")
        return total, _labels(one) if one.type.endswith("Classifier") else ()

    def _encode(self, one: Estimator, given: str) -> str:
        name = one.type.rpartition(".")[2]
        if one.get("_infrequent_enabled") or one.get("drop_idx_") is not None:
            raise ModelRefused(TYPE, f"{name} that drops or groups categories", "drop=None, without min_frequency")
        listed = [np.asarray(each) for each in one.get("categories_")]
        place = np.concatenate([np.full(len(each), at) for at, each in enumerate(listed)]).astype(np.int64)
        known: list[Any] = [value for each in listed for value in each.tolist()]
        category = np.asarray(known, dtype=object if any(isinstance(each, str) for each in known) else np.float64)
        if name == "OneHotEncoder":
            return self._add("OneHot", given, category=category, place=place)
        codes = np.concatenate([np.arange(len(each), dtype=np.float64) for each in listed])
        unknown = one.get("unknown_value")
        default = -1.0 if unknown is None else float(unknown)
        return self._add("Codes", given, category=category, place=place, codes=codes, default=default)

    def _parts(self, one: Estimator, given: str) -> str:
        """Return the parts of a column transformer side by side."""
        made: list[str] = []
        for name, each, wanted in one.get("transformers_"):
            if each == "drop" or (name == "remainder" and len(self._places(wanted, one)) == 0):
                continue
            taken = self._add("Take", given, columns=np.asarray(self._places(wanted, one), np.int64))
            made.append(self.transform(each, taken))
        return self._add("Concat", *made)

    def _places(self, wanted: Any, one: Estimator) -> list[int]:
        named = one.get("feature_names_in_")
        names = list(self._columns if named is None else named)
        if isinstance(wanted, Slice):
            return list(range(len(names))[wanted.start : wanted.stop])
        listed = [wanted] if isinstance(wanted, str | int) else list(wanted)
        if listed and all(isinstance(each, bool | np.bool_) for each in listed):
            return [at for at, each in enumerate(listed) if each]
        return [names.index(each) if isinstance(each, str) else int(each) for each in listed]


def _labels(one: Estimator) -> tuple[str, ...]:
    classes = one.get("classes_")
    return () if classes is None else tuple(str(each) for each in np.asarray(classes).ravel().tolist())


def tree_table(tree: Estimator) -> dict[str, Array]:
    """Return the nodes of one tree; refuses leaves and branches that hold more than a tree of scikit-learn has."""
    nodes, values = np.asarray(tree.get("nodes")), np.asarray(tree.get("values"), np.float64)
    left, right = nodes["left_child"].astype(np.int64), nodes["right_child"].astype(np.int64)
    leaf = left < 0
    if values.ndim != 3 or values.shape[1] != 1 or len(values) != len(nodes):
        raise ModelRefused(TYPE, "a tree of several outputs", "one target")
    if (nodes["feature"][~leaf] < 0).any() or (nodes["feature"][~leaf] >= int(tree.get("__args__")[0])).any():
        raise ModelRefused(FORMAT, "a branch on a column that is not there", "columns of the model")
    missing = nodes["missing_go_to_left"].astype(bool) if "missing_go_to_left" in (nodes.dtype.names or ()) else leaf
    return {
        "feature": np.where(leaf, 0, nodes["feature"]).astype(np.int64),
        "threshold": np.where(leaf, 0.0, nodes["threshold"]).astype(np.float64),
        "left": np.where(leaf, -1, left), "right": np.where(leaf, -1, right),
        "missing": missing & ~leaf, "strict": np.zeros(len(nodes), bool),
        "value": np.where(leaf[:, None], values[:, 0, :], 0.0), "roots": np.zeros(1, np.int64),
    }  # fmt: skip


def join(tables: Sequence[dict[str, Array]]) -> dict[str, Any]:
    """Return several trees as one table of nodes."""
    starts = np.cumsum([0, *(len(one["left"]) for one in tables)])[:-1]
    made: dict[str, Any] = {
        name: np.concatenate([one[name] for one in tables])
        for name in ("feature", "threshold", "missing", "strict", "value")
    }
    for name in ("left", "right"):
        made[name] = np.concatenate(
            [np.where(one[name] >= 0, one[name] + start, -1) for one, start in zip(tables, starts, strict=True)]
        )
    made["roots"] = np.concatenate([one["roots"] + start for one, start in zip(tables, starts, strict=True)])
    return made
