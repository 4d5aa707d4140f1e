"""What a product's sheet says of its form: the inputs of a model, the parameters of a data service, marked columns."""

from __future__ import annotations

from typing import Any

from products.forms.predicting.inputs import schema_of_inputs
from products.forms.querying.asking import read_service, written
from products.forms.service import find_terms
from products.forms.terms import FileTerms, ModelTerms
from products.registry.codes import ProductKind
from products.registry.model import Product
from shuzha.core.work import Database


class FormSheets:
    """Reads sheets once for each registered output: terms do not change in service."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def of(self, product: Product) -> dict[str, Any]:
        """Return the fields of a product's form; none for a verification."""
        key = (product.id, product.evidence.output_sha256)
        if key not in self._known:
            self._known[key] = self._read(product)
        return self._known[key]

    def _read(self, product: Product) -> dict[str, Any]:
        if product.kind is ProductKind.VERIFICATION:
            return {}
        if product.kind is ProductKind.SERVICE:
            service = read_service(product.specification)
            parameters = [
                {"name": one.name, "op": one.op.value, "one_of": [written(value) for value in one.domain],
                 "optional": one.optional}
                for one in service.parameters
            ]  # fmt: skip
            figure = {"aggregate": service.aggregate.value, "of": service.value, "by": list(service.rows)}
            return {"parameters": parameters, "figure": figure}
        terms = find_terms(self._database, product.id)
        match terms:
            case ModelTerms():
                budget = {
                    "distinct": terms.distinct_inputs, "near": terms.near_inputs, "window_days": terms.window_days,
                }  # fmt: skip
                return {"inputs": schema_of_inputs(terms), "input_budget": budget}
            case FileTerms():
                marks = {name: one.step for name, one in terms.marks.items()}
                return {"files": [product.evidence.lineage.file], "marks": marks}
        return {"files": [product.evidence.lineage.file]} if product.kind is not ProductKind.MODEL else {}
