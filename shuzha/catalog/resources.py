"""What the policy layer is told about the catalogue's things."""

from __future__ import annotations

from policies import Resource
from shuzha.catalog.model import Batch, Entry


def entry_resource(entry: Entry) -> Resource:
    """Return an entry as the thing of a decision: its provider's organisation and its compiler."""
    return Resource("entry", entry.id, organisation=entry.provider, author=entry.compiler)


def batch_resource(batch: Batch) -> Resource:
    """Return a batch as the thing of a decision."""
    return Resource("batch", batch.id, organisation=batch.provider, author=batch.received_by)
