"""What a new query was built from, where that is not all that there ever was."""

from __future__ import annotations

from collections.abc import Iterator

from stream_magic.engine.dataflow import Dataflow, QueryNode
from stream_magic.engine.logs import StreamLog


def missing_history(node: QueryNode, flow: Dataflow) -> Iterator[str]:
    """A sentence for each input of a query whose older rows were not kept any more."""
    name = node.relation.name
    for relation in node.program.schemas:
        above = flow.get(relation.removeprefix("errors."))
        log = above.log_of(relation) if above is not None else None
        if above is None or log is None:
            continue
        shown = above.relation.name if relation == above.id else f"errors.{above.relation.name}"
        if log.is_cut and isinstance(log, StreamLog):
            yield (
                f"{name}: its history begins at row {log.dropped + 1:,} of {shown}, older ones were let go; "
                f"to keep more, SET retention = '{_enough(log.total)} rows' before {shown} is created"
            )
        elif above.complete_from:
            yield f"{name}: {shown} is complete only from epoch {above.complete_from} on"


def _enough(rows: int) -> int:
    """A round number above this."""
    digit = int("1" + "0" * (len(str(rows)) - 1))
    return (rows // digit + 1) * digit
