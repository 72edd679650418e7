"""Which nodes of different plans do the same: their texts are equal when columns are numbered anew.

The planner's column names are its own (`_c12`), and no word of the user's: so numbering them anew
says nothing else. A plan in which a user's word looks like one, or that answers differently each
time, has keys of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable

import pyarrow as pa

from stream_magic.planner.columns import COLUMN_NAME
from stream_magic.planner.nodes import Apply, Node, Read, Remember

# What is only said to users, or is a node itself.
_APART = frozenset({"input", "parts", "rule", "bound", "shown_keys"})
_numbers = itertools.count()


def keys(root: Node, *, can_share: bool = True) -> dict[int, str]:
    """The key of each node by its `id`: equal keys do the same, column by column.

    Args:
        root: of the plan.
        can_share: False gives every node a key that no other plan has.
    """
    found: dict[int, str] = {}
    _note(root, found, can_share=can_share)
    return found


def is_apart(words: Iterable[str]) -> bool:
    """None of the user's words could be taken for a column of the planner's."""
    return not any(COLUMN_NAME.search(word) for word in words)


def _note(node: Node, found: dict[int, str], *, can_share: bool) -> str:
    if id(node) not in found:
        below = [_note(n, found, can_share=can_share) for n in node.inputs]
        found[id(node)] = _key(node, below) if can_share or isinstance(node, Read) else _own()
    return found[id(node)]


def _key(node: Node, below: list[str]) -> str:
    if isinstance(node, Read):
        return f"read {node.relation.id}"
    if isinstance(node, Remember) or (isinstance(node, Apply) and not _is_settled(node)):
        return _own()
    given = [name for n in node.inputs for name in n.schema.names]
    text = f"{type(node).__name__} {given} {_text(node)}"
    whole = "\n".join([_numbered(text), *below])
    return hashlib.sha256(whole.encode()).hexdigest()  # short: a node that is read twice is in both


def _is_settled(node: Apply) -> bool:
    """Its functions give the same for the same arguments."""
    return all(call.function.is_deterministic for call in node.calls)


def _own() -> str:
    return f"own {next(_numbers)}"


def _text(value: object) -> str:
    """All that says what a node does."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value) if f.name not in _APART]
        return f"{{{', '.join(f'{n}: {_text(getattr(value, n))}' for n in names)}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(_text(v) for v in value)}]"
    if isinstance(value, pa.Schema):
        return str([(f.name, str(f.type)) for f in value])
    return repr(value)


def _numbered(text: str) -> str:
    """The planner's columns by the order in which they are met."""
    known: dict[str, str] = {}
    return COLUMN_NAME.sub(lambda m: known.setdefault(m[0], f"${len(known)}"), text)
