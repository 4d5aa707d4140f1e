"""The estimators of scikit-learn that are accepted in a skops file, and what of each is kept.

Each type lists the attributes that its prediction needs: those are read, judged and written. Attributes that fitting
leaves behind and prediction does not need are left out of what is written. Any other attribute is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_K: Final = "sklearn."

SETTINGS: Final = frozenset({
    "C", "alpha", "l1_ratio", "penalty", "dual", "tol", "fit_intercept", "intercept_scaling", "class_weight",
    "random_state", "solver", "max_iter", "multi_class", "verbose", "warm_start", "n_jobs", "copy", "copy_X",
    "precompute", "positive", "selection", "with_mean", "with_std", "clip", "feature_range", "strategy",
    "fill_value", "missing_values", "add_indicator", "keep_empty_features", "sparse_output", "drop", "min_frequency",
    "max_categories", "handle_unknown", "feature_name_combiner", "unknown_value", "encoded_missing_value",
    "criterion", "splitter", "max_depth", "min_samples_split", "min_samples_leaf", "min_weight_fraction_leaf",
    "max_features", "max_leaf_nodes", "min_impurity_decrease", "ccp_alpha", "monotonic_cst", "n_estimators",
    "bootstrap", "oob_score", "max_samples", "estimator_params", "memory", "transform_input", "remainder",
    "sparse_threshold", "transformer_weights", "verbose_feature_names_out", "force_int_remainder_cols", "voting",
    "weights", "flatten_transform", "var_smoothing", "priors", "hidden_layer_sizes", "activation", "batch_size",
    "learning_rate", "learning_rate_init", "power_t", "shuffle", "momentum", "nesterovs_momentum", "early_stopping",
    "validation_fraction", "beta_1", "beta_2", "epsilon", "n_iter_no_change", "max_fun", "loss", "neg_label",
    "pos_label", "categories", "dtype", "solver_",
})  # fmt: skip
"""Parameters of estimators: single numbers and words, never arrays."""

JUDGED: Final = frozenset({
    "coef_", "intercept_", "mean_", "scale_", "min_", "statistics_", "categories_", "theta_", "var_", "class_prior_",
    "coefs_", "intercepts_", "nodes", "values", "estimators_", "estimators", "estimator", "transformers",
    "transformers_", "steps", "tree_", "_label_binarizer", "le_",
})  # fmt: skip
"""What becomes part of the program, and is judged there; everything else that is kept holds a few plain values."""

COMMON: Final = frozenset({"n_features_in_", "feature_names_in_", "_sklearn_version"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What is kept and what is left out of one type; `parts` hold other estimators."""

    kept: frozenset[str]
    left_out: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()


def _kind(kept: str = "", left_out: str = "", parts: str = "") -> Kind:
    return Kind(frozenset(kept.split()), frozenset(left_out.split()), frozenset(parts.split()))


_LINEAR = _kind("coef_ intercept_ classes_", "n_iter_ rank_ singular_ dual_gap_ feature_names")
_TREE = _kind("classes_ n_classes_ n_outputs_ max_features_ tree_")
_FOREST = _kind(
    "classes_ n_classes_ n_outputs_ estimators_", "_n_samples _n_samples_bootstrap _sample_weight estimator_",
    "estimator estimators_",
)  # fmt: skip
_MLP = _kind(
    "coefs_ intercepts_ n_layers_ n_outputs_ out_activation_ classes_ _label_binarizer",
    "_random_state _optimizer n_iter_ t_ loss_curve_ loss_ best_loss_ _no_improvement_count validation_scores_"
    " best_validation_score_ _best_coefs _best_intercepts",
)  # fmt: skip

TYPES: Final[dict[str, Kind]] = {
    f"{_K}pipeline.Pipeline": _kind(parts="steps"),
    f"{_K}compose._column_transformer.ColumnTransformer": _kind(
        "_columns _transformer_to_input_indices _remainder sparse_output_ transformers_ output_indices_",
        "_name_to_fitted_passthrough", "transformers transformers_",
    ),
    f"{_K}preprocessing._data.StandardScaler": _kind("mean_ scale_", "var_ n_samples_seen_"),
    f"{_K}preprocessing._data.MinMaxScaler": _kind(
        "min_ scale_", "data_min_ data_max_ data_range_ n_samples_seen_"
    ),
    f"{_K}preprocessing._encoders.OneHotEncoder": _kind(
        "_infrequent_enabled categories_ _drop_idx_after_grouping drop_idx_ _n_features_outs"
    ),
    f"{_K}preprocessing._encoders.OrdinalEncoder": _kind("_infrequent_enabled categories_ _missing_indices"),
    f"{_K}impute._base.SimpleImputer": _kind("statistics_ _fit_dtype _fill_dtype indicator_"),
    f"{_K}linear_model._base.LinearRegression": _LINEAR,
    f"{_K}linear_model._ridge.Ridge": _LINEAR,
    f"{_K}linear_model._ridge.RidgeClassifier": _kind("coef_ intercept_ _label_binarizer", "n_iter_"),
    f"{_K}linear_model._coordinate_descent.Lasso": _LINEAR,
    f"{_K}linear_model._coordinate_descent.ElasticNet": _LINEAR,
    f"{_K}linear_model._logistic.LogisticRegression": _LINEAR,
    f"{_K}svm._classes.LinearSVC": _LINEAR,
    f"{_K}svm._classes.LinearSVR": _LINEAR,
    f"{_K}tree._classes.DecisionTreeClassifier": _TREE,
    f"{_K}tree._classes.DecisionTreeRegressor": _TREE,
    f"{_K}tree._classes.ExtraTreeClassifier": _TREE,
    f"{_K}tree._classes.ExtraTreeRegressor": _TREE,
    f"{_K}ensemble._forest.RandomForestClassifier": _FOREST,
    f"{_K}ensemble._forest.RandomForestRegressor": _FOREST,
    f"{_K}ensemble._forest.ExtraTreesClassifier": _FOREST,
    f"{_K}ensemble._forest.ExtraTreesRegressor": _FOREST,
    f"{_K}ensemble._voting.VotingClassifier": _kind(
        "estimators_ le_ classes_", "named_estimators_", "estimators estimators_"
    ),
    f"{_K}ensemble._voting.VotingRegressor": _kind("estimators_", "named_estimators_", "estimators estimators_"),
    f"{_K}naive_bayes.GaussianNB": _kind("theta_ var_ class_prior_ classes_", "class_count_ epsilon_"),
    f"{_K}neural_network._multilayer_perceptron.MLPClassifier": _MLP,
    f"{_K}neural_network._multilayer_perceptron.MLPRegressor": _MLP,
    f"{_K}preprocessing._label.LabelBinarizer": _kind("classes_ y_type_ sparse_input_"),
    f"{_K}preprocessing._label.LabelEncoder": _kind("classes_"),
    f"{_K}preprocessing._function_transformer.FunctionTransformer": _kind(
        "func inverse_func validate accept_sparse check_inverse feature_names_out kw_args inv_kw_args"
        " _sklearn_output_config"
    ),
    f"{_K}tree._tree.Tree": _kind("__args__ max_depth node_count nodes values"),
}  # fmt: skip
"""Accepted types by their full names."""

STORING: Final = (
    "neighbors.", "svm._classes.SVC", "svm._classes.SVR", "svm._classes.NuSV", "svm._classes.OneClassSVM",
    "gaussian_process.", "kernel_ridge.", "kernel_approximation.", "semi_supervised.", "ensemble._iforest.",
    "ensemble._stacking.", "cluster._dbscan.", "cluster._optics.", "cluster._hdbscan.",
    "cluster._affinity_propagation.",
    "cluster._agglomerative.", "cluster._spectral.", "manifold.", "isotonic.",
    "preprocessing._data.QuantileTransformer",
    "preprocessing._data.KernelCenterer", "decomposition._kernel_pca.", "preprocessing._discretization.", "mixture.",
    "impute._knn.", "covariance._", "model_selection._search.", "preprocessing._target_encoder.",
)  # fmt: skip
"""Types that keep rows, or values of single rows, in what they are: refused by name, at any depth."""
