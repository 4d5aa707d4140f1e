"""What to do about a rule's finding, for people: one sentence a rule, beside its meaning in `sandbox.airlock.rules`."""

from __future__ import annotations

from typing import Final

_COARSER: Final = "Merge groups, suppress the cells, or leave a column out."
_LESS: Final = "Train a smaller model on more people: fewer terms, shallower trees, stronger regularisation."

WAYS: Final[dict[str, str]] = {
    "min_count": _COARSER,
    "dominance_nk": _COARSER,
    "dominance_p": _COARSER,
    "dof": "Merge groups, or leave terms out.",
    "zero_cell": "Merge groups so that no label is empty; an empty cell that must be so is declared by the authority.",
    "class_disclosure": "Merge groups until their members differ.",
    "extreme": "Top- or bottom-code the values, or publish the mean.",
    "differencing": (
        "Ask for the same people as the earlier output did, or for a group that differs by more of them; merging or"
        " suppressing the cells in between helps too."
    ),
    "differencing_later": "Nothing: a submission is compared with everything that left before.",
    "leverage": "Leave the term out, merge its categories, or add entities.",
    "standard_errors": "Cluster the standard errors by entity, and leave out terms that follow from each other.",
    "plot": "Draw the figure with workbench.plot from a table.",
    "unknown_aggregate": "Use an aggregate that the rules cover.",
    "specification": "Correct the specification; workbench writes one that fits.",
    "checker_failed": "Make the output smaller and submit it again; tell the authority if it fails once more.",
    "label_pii": "Take the identifier out of the heading, label, cell or file name.",
    "file_type": "Write the file as a listed type.",
    "canonical": "Nothing: the platform wrote the file anew.",
    "opaque_values": "Leave the column out, or declare the output as what it is with workbench.table.",
    "hidden_text": "Write each word in one script.",
    "picture_detail": "Draw the figure with workbench.plot.",
    "row_overlap": "Export figures about groups, made with workbench.table, not rows.",
    "row_risk": "Generalize the columns further, or drop some, until more rows are alike.",
    "file_size": "Export less: fewer rows, columns or files.",
    "scope": "Use columns, rows and operations of the grant, or ask for more in a scenario demand.",
    "kernel_differs": "Nothing, if the platform's figures are what you meant: they are what leaves.",
    "rerun_differs": "Declare every output in the notebook, and let it run from top to bottom by itself.",
    "session_differs": "Restart the kernel, run all cells, and submit again; fix the seeds of random numbers.",
    "own_files": "Nothing: reviewers look at what the files of your unit add.",
    "free_form": "Nothing: reviewers judge it. What can be declared with workbench.table is judged sooner.",
    "suppressed": "Nothing: the cells stay out.",
    "repair_failed": "Merge groups or leave a column out: no choice of cells protects this table.",
    "rounding": "Declare the repair that is on offer, or merge groups.",
    "claims_counted_later": "Nothing: a submission counts them.",
    "model_format": "Save the model as ONNX, skops, safetensors, PMML or JSON.",
    "model_code": "Save the model in a format that holds data alone.",
    "model_type": "Use an estimator of the list.",
    "model_stores_rows": "Use an estimator that keeps no row: linear, trees, dense layers, naive Bayes.",
    "model_extra": "Save the model anew without metadata and unused parts.",
    "model_budget": _LESS,
    "model_dof": _LESS,
    "model_leaf": "Ask for more people behind each leaf, category and class (min_samples_leaf), or merge them.",
    "model_rows": "Use an estimator whose numbers are not the records themselves.",
    "model_evidence": "Give the training and holdout rows with workbench.split, and make the model quicker to answer.",
    "membership": _LESS,
    "membership_tail": _LESS,
    "membership_record": _LESS,
    "model_holdout": "Split with workbench.split before training, and never train on those held out.",
    "attribute_inference": "Leave the sensitive column out, or train a smaller model.",
    "model_quality": "Judge whether the model is worth publishing: it hardly beats no model.",
    "model_privacy": "Declare the epsilon that the training spends, or train with less.",
}
"""The next step for the author of an output that a rule holds back or remarks on."""
