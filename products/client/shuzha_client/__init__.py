"""A typed client of the Shuzha consumer API; `Client` and `AsyncClient` have the same methods."""

from .answers import Answer, BatchItem, File, Proof, Result, Usage, Use
from .asynchronous import AsyncClient
from .errors import NotGenuine, Problem, Unreachable
from .synchronous import Client
from .webhooks import Notice, verify_webhook

__all__ = [
    "Answer",
    "AsyncClient",
    "BatchItem",
    "Client",
    "File",
    "NotGenuine",
    "Notice",
    "Problem",
    "Proof",
    "Result",
    "Unreachable",
    "Usage",
    "Use",
    "verify_webhook",
]
__version__ = "0.1.0"
