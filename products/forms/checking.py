"""Whether terms fit their product: its kind, and what its file holds."""

from __future__ import annotations

from typing import Final

from products.forms.marks.codes import cells_needed
from products.forms.marks.tables import read_column, read_table
from products.forms.terms import RULE, FileTerms, Input, ModelTerms, Terms
from products.registry.codes import ProductKind
from products.registry.model import Product
from sandbox.airlock.models.specification import parse as parse_model
from shuzha.core.errors import Invalid

BUYERS: Final = 100
"""The number of buyers for which a marked table has to be able to name one of them."""

_FITS: Final = {FileTerms: (ProductKind.COMPONENT, ProductKind.REPORT), ModelTerms: (ProductKind.MODEL,)}


def check_terms(product: Product, terms: Terms, content: bytes) -> None:
    """Refuse terms of another form than the product's, and terms that its file does not bear out."""
    kinds = _FITS[type(terms)]
    if product.kind not in kinds:
        raise Invalid(
            f"a {product.kind.value} refuses terms of this form", rule=RULE,
            accepted=f"terms of a {product.kind.value}: docs/reference/forms.md",
        )  # fmt: skip
    match terms:
        case FileTerms():
            _check_marks(terms, content)
        case ModelTerms():
            _check_model(terms, product)


def _check_model(terms: ModelTerms, product: Product) -> None:
    """Refuse inputs that are not the columns of the model's declaration, each once, and inputs without bounds."""
    declared = parse_model(product.specification.encode())
    names = [one.name for one in terms.inputs]
    if sorted(names) != sorted(declared.columns):
        raise Invalid(
            "the inputs are not the columns that the model was declared with", rule=RULE,
            accepted=", ".join(declared.columns),
        )  # fmt: skip
    for one in terms.inputs:
        wrong = _wrong(one)
        if wrong:
            raise Invalid(f"input `{one.name}` is not bounded", rule=RULE, accepted=wrong)
    if sorted(set(terms.buckets)) != terms.buckets or (terms.buckets and declared.task != "classification"):
        raise Invalid(
            "the buckets of a chance do not rise, or the model is no classification", rule=RULE,
            accepted="rising edges between 0 and 1, for a classification",
        )  # fmt: skip


def _wrong(one: Input) -> str:
    """Return what would be accepted of an input, empty where it is well said."""
    if one.type == "number":
        bounded = one.minimum is not None and one.maximum is not None and one.minimum < one.maximum
        return "" if bounded and not one.categories else "`minimum` below `maximum`, no `categories`"
    if one.minimum is not None or one.maximum is not None or one.whole:
        return f"a {one.type} without `minimum`, `maximum` or `whole`"
    if one.type == "category":
        good = one.categories and len(set(one.categories)) == len(one.categories)
        return "" if good else "`categories`, each once"
    return "a flag without `categories`" if one.categories else ""


def _check_marks(terms: FileTerms, content: bytes) -> None:
    """Refuse marks on columns that cannot carry them, and on too few cells to name anybody by.

    Half of the rows may go and one of a hundred buyers is still to be named: so many open cells are needed.
    """
    _, frame = read_table(content)
    cells = sum(int(read_column(frame, name, one).open.sum()) for name, one in terms.marks.items())
    needed = 2 * cells_needed(BUYERS)
    if cells < needed:
        raise Invalid(
            f"the marked columns have {cells} cells that can carry a mark", rule="forms.marks",
            accepted=f"{needed} or more: a smaller table names nobody",
        )  # fmt: skip
    plain = [name for name in frame.columns if name not in terms.marks]
    if not plain:
        raise Invalid("every column is marked", rule="forms.marks", accepted="one column or more without marks")
