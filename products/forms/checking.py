"""Whether terms fit their product: its kind, and what its file holds."""

from __future__ import annotations

from typing import Final

from products.forms.marks.codes import cells_needed
from products.forms.marks.tables import read_column, read_table
from products.forms.terms import RULE, FileTerms, Terms
from products.registry.codes import ProductKind
from products.registry.model import Product
from shuzha.core.errors import Invalid

BUYERS: Final = 100
"""The number of buyers for which a marked table has to be able to name one of them."""

_FITS: Final = {FileTerms: (ProductKind.COMPONENT, ProductKind.REPORT)}


def check_terms(product: Product, terms: Terms, content: bytes) -> None:
    """Refuse terms of another form than the product's, and terms that its file does not bear out."""
    kinds = _FITS[type(terms)]
    if product.kind not in kinds:
        raise Invalid(
            f"a {product.kind.value} refuses terms of this form", rule=RULE,
            accepted=f"terms of a {product.kind.value}: docs/reference/forms.md",
        )  # fmt: skip
    _check_marks(terms, content)


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
