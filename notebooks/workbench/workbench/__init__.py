"""What an analyst imports in a workspace.

    import workbench
    workbench.datasets()                                  # what is granted
    people = workbench.load("social_insurance")           # a polars LazyFrame
    table = workbench.table("social_insurance", rows=["district_code"], aggregate="entities")
    workbench.check(table)                                # what the airlock would say, and how to mend it
    workbench.dp.count("social_insurance", by=["district_code"], epsilon=0.1, delta=1e-9)   # noisy, from the raw rows
    workbench.export("by_district", table, context="for the annual report")
    workbench.submit("my-notebook.ipynb")                 # asks for the export; the platform runs the notebook again

The same notebook runs in the clean room: there `export` leaves its declaration in the outbox and `submit` does nothing.
"""

from workbench import dp
from workbench.calls import budget, check, require, status, submit
from workbench.catalogue import Dataset, Datasets, datasets
from workbench.data import load
from workbench.errors import WorkbenchError
from workbench.figures import Figure, plot
from workbench.magics import load_ipython_extension
from workbench.models import Model, model, split
from workbench.outputs import export
from workbench.packages import packages
from workbench.regressions import Regression, regression
from workbench.services import Parameter, Service, parameter, service
from workbench.specifications import Claim, Table, Verification, claim, table, verification

__all__ = [
    "Claim",
    "Dataset",
    "Datasets",
    "Figure",
    "Model",
    "Parameter",
    "Regression",
    "Service",
    "Table",
    "Verification",
    "WorkbenchError",
    "budget",
    "check",
    "claim",
    "datasets",
    "dp",
    "export",
    "load",
    "load_ipython_extension",
    "model",
    "packages",
    "parameter",
    "plot",
    "regression",
    "require",
    "service",
    "split",
    "status",
    "submit",
    "table",
    "verification",
]


def __dir__() -> list[str]:
    """Return what a person looks for at a Tab: the verbs, not the modules behind them."""
    return [name for name in __all__ if name != "load_ipython_extension"]
