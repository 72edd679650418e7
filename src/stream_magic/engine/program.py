"""A plan made runnable: the steps that it needs, its own and those that other plans have already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa

from stream_magic.engine.network import Input, Network, Step, is_pieced
from stream_magic.planner.nodes import Compute, Node, Read


class Program:
    """The steps of one plan.

    Args:
        root: of the plan.
        keys: of its nodes (`planner.identity`).
        network: where steps are found and made.

    Attributes:
        schemas: of what it reads, by the relation's id; `errors.x` among them.
        root: where its result comes from.
    """

    def __init__(self, root: Node, keys: Mapping[int, str], network: Network) -> None:
        self._node, self._keys, self._network = root, keys, network
        self._steps: dict[int, Step] = {}
        self._by_node: dict[int, Step] = {}
        self._readers = Counter(_edges(root, set()))
        self.schemas: dict[str, pa.Schema] = {}
        self.root = self._input(root)

    def renew(self) -> None:
        """Before its first epoch: takes steps of its own where those that it had found are not what it needs any more."""
        if isinstance(self.root.place, Step) and not self._network.is_open(self.root.place):
            self.close()
            self.root = self._input(self._node)

    def steps(self) -> Iterator[Step]:
        """All of them, each after those that it reads."""
        return iter(list(self._steps.values()))

    def step_of(self, node: Node) -> Step | None:
        """Where a node of the plan is at work; None of a relation that is read, or when it is closed."""
        return self._by_node.get(id(node))

    def close(self) -> None:
        """Lets go of all steps. May be called again."""
        for step in reversed(self._steps.values()):
            self._network.release(step)
        self._steps.clear()
        self._by_node.clear()

    # --- building --------------------------------------------------------------------------------

    def _input(self, node: Node) -> Input:
        if isinstance(node, Read):
            self.schemas[node.relation.id] = node.schema
            return Input(node.relation.id, node.schema)
        step = self._by_node.get(id(node)) or self._step(node)
        names = node.schema.names
        fields = [f.with_name(n) for f, n in zip(step.operator.schema, names, strict=True)]
        return Input(step, pa.schema(fields))

    def _step(self, node: Node) -> Step:
        key = self._keys[id(node)]
        step = self._network.find(key)
        if step is None:
            chain = self._chain_below(node)
            inputs = [self._input(n) for n in (chain or node).inputs]
            step = self._network.add(key, node, inputs, chain)
            self._use(node, step)
        else:
            self._join(node, step)
        return step

    def _join(self, node: Node, step: Step) -> None:
        """Uses a step that is there, with all that it reads."""
        if id(node) in self._by_node:
            return
        if step.chain is not None:
            (node_below,) = node.inputs
            self._join_inputs(node_below, step)
        else:
            self._join_inputs(node, step)
        self._use(node, step)

    def _join_inputs(self, node: Node, step: Step) -> None:
        for below, (place, _) in zip(node.inputs, step.inputs, strict=True):
            if isinstance(below, Read):
                self.schemas[below.relation.id] = below.schema
            elif isinstance(place, Step):
                self._join(below, place)

    def _chain_below(self, node: Node) -> Compute | None:
        """What a GROUP BY does in one statement with its own: a chain whose rows nobody else reads.

        A filter stays a step: it is asked together with those of other queries.
        """
        if not is_pieced(node) or not isinstance(node.input, Compute) or node.input.sifted:
            return None
        is_made = self._network.find(self._keys[id(node.input)]) is not None
        return None if is_made or self._readers[id(node.input)] > 1 else node.input

    def _use(self, node: Node, step: Step) -> None:
        self._by_node[id(node)] = step
        if id(step) not in self._steps:
            self._steps[id(step)] = step
            step.users += 1


def _edges(node: Node, seen: set[int]) -> Iterator[int]:
    """For each input of each node its id."""
    if id(node) in seen:
        return
    seen.add(id(node))
    for n in node.inputs:
        yield id(n)
        yield from _edges(n, seen)
