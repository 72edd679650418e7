"""The engine of one app: a thread that runs epochs, and the only door to the running graph.

Whoever wants to touch the graph takes the turnstile: the worker lets go of it between two epochs.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pyarrow as pa

from stream_magic.core.arrivals import Arrivals
from stream_magic.core.change import visible
from stream_magic.core.clock import Clock
from stream_magic.engine.dataflow import (
    CacheNode,
    Dataflow,
    QueryNode,
    RunningNode,
    SourceNode,
    TargetNode,
)
from stream_magic.engine.epoch import EpochRunner, Outcome
from stream_magic.engine.epoch_size import EpochSize
from stream_magic.engine.network import Network
from stream_magic.engine.state import Database
from stream_magic.errors import ConfigError, InternalError

Subscriber = Callable[[int, pa.Table], None]

_PAUSE_S = 0.02  # between epochs: shorter ones do not pay
# Rows that stream in are gathered: an epoch of 20,000 costs 16 ms of CPU, one of 100,000 30 (decision 0005).
_MANY_ROWS, _GATHER_S = 10_000, 0.1
_IDLE_S = 0.2  # a look at the clock: idle partitions, refreshed caches
_YIELD_S = 0.02  # at most, to others between two epochs
_DRAIN_S = 0.01  # at most, until the next look whether all is done
_CACHE_WAIT_S = 30.0
_READ_WAIT_S = 10.0


class Engine:
    """Runs a dataflow. All methods may be called from any thread."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.state_id = str(uuid.uuid4())
        self.flow = Dataflow()
        self.database = Database()
        self.version = (
            0  # grows with every epoch that changed something, and with every change of state
        )
        self.network = Network(self.database, self.flow.is_cut)
        self.arrivals = Arrivals()
        self._runner = EpochRunner(self.flow, self.database, clock, self.arrivals)
        self._turn = threading.RLock()
        self._waiting = 0
        self._counting = (
            threading.Condition()
        )  # told when nobody waits any more, and of every epoch
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._is_paused = False
        self._size = EpochSize()
        self._subscribers: dict[str, list[Subscriber]] = {}
        self.failure = ""
        self.notes: dict[str, str] = {}  # by node: what its user should know

    # --- the graph -----------------------------------------------------------------------------------

    @contextmanager
    def between_epochs(self) -> Iterator[Dataflow]:
        """The graph, while no epoch runs. What is read inside belongs to one committed epoch."""
        with self._counting:
            self._waiting += 1
        try:
            with self._turn:
                yield self.flow
        finally:
            with self._counting:
                self._waiting -= 1
                self._counting.notify_all()
            self._news.set()

    def add(self, node: RunningNode) -> None:
        """Adds a node, between epochs; if the app runs the node starts at once."""
        self.flow.add(node)
        if isinstance(node, SourceNode):
            node.reader.on_rows = self._news
        elif isinstance(node, CacheNode):
            node.loader.on_load = self._news
            self.database.replace_cache(node.id, node.loader.rows, node.loader.index)
        elif isinstance(node, TargetNode):
            node.deliverer.on_room = self._news
        if self.is_started:
            _start(node)
        self.version += 1

    def stop_nodes(self, names: Iterable[str]) -> None:
        """Stops the threads of nodes that will be removed, before the graph is held: a load or write may take its time."""
        for node in [self.flow.get(name) for name in names]:
            if node is not None:
                _stop(node)

    def remove(self, name: str) -> None:
        """Takes a node out and closes it; its threads were stopped by `stop_nodes`."""
        node = self.flow.remove(name)
        if node is None:
            return
        if isinstance(node, QueryNode):
            node.close()
        elif isinstance(node, CacheNode):
            self.database.drop_cache(node.id)
        self.notes.pop(node.id, None)
        self.version += 1

    def forget(self, name: str) -> None:
        """The name is gone: nobody listens to it any more."""
        self._subscribers.pop(name, None)
        self._subscribers.pop(f"errors.{name}", None)

    def subscribe(self, name: str, fn: Subscriber) -> Callable[[], None]:
        """Calls `fn(epoch, delta)` after every epoch with rows of `name` (`errors.x` too)."""
        key = name.lower()
        self._subscribers.setdefault(key, []).append(fn)

        def unsubscribe() -> None:
            listeners = self._subscribers.get(key, [])
            if fn in listeners:
                listeners.remove(fn)

        return unsubscribe

    # --- running -------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The last committed epoch."""
        return self._runner.epoch

    @property
    def is_started(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self.failure

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def start(self) -> None:
        """Starts targets, queries and caches, then sources. Does nothing if started."""
        with self.between_epochs():
            if self.is_started:
                return
            self._stopping.clear()
            self._is_paused = False
            self.failure = ""
            for node in reversed(list(self.flow)):
                if not isinstance(node, SourceNode):
                    _start(node)
            for source in self.flow.sources():
                _start(source)
            self._thread = threading.Thread(
                target=self._run, name=f"stream_magic {self.name}", daemon=True
            )
            self._thread.start()
            self.version += 1

    def stop(self) -> None:
        """Stops the sources, ends the epoch, lets the targets deliver, stops the rest. Does nothing if never started."""
        thread = self._thread
        for source in self.flow.sources():
            _stop(source)
        if thread is not None:
            self._stopping.set()
            self._news.set()
            if thread is not threading.current_thread():
                thread.join()
            self._thread = None
        for node in list(self.flow):
            _stop(node)
        self._is_paused = False
        self.version += 1

    def close(self) -> None:
        """Stops, and lets go of the state."""
        self.stop()
        with self.between_epochs():
            for node in reversed(list(self.flow)):
                self.remove(node.id)
                self.forget(node.id)
            self.database.close()

    def settle(self) -> None:
        """Builds new queries from what their inputs have kept, without taking new rows."""
        with self.between_epochs():
            if self._runner.is_unsettled:
                self._after(self._runner.run(0))

    def check(self) -> None:
        """Raises InternalError if the engine has ended by a failure of its own."""
        if self.failure:
            raise InternalError("SM9001", f"the engine of {self.name} ended: {self.failure}")

    def wake(self) -> None:
        """There may be something to do."""
        self._news.set()

    def pause(self) -> None:
        """No epoch begins until `resume`; one that runs ends first. Sources go on reading until their queues are full."""
        self._is_paused = True
        with self.between_epochs():
            self.version += 1

    def resume(self) -> None:
        self._is_paused = False
        self._news.set()
        self.version += 1

    def step(self) -> None:
        """One epoch by hand over all that the sources have now.

        Raises:
            ConfigError: the app runs and is not paused.
        """
        if self.is_started and not self._is_paused:
            raise ConfigError(
                "SM7020", "a running app takes its steps by itself", hint="pause it first"
            )
        self._open_for_step()
        with self.between_epochs():
            self.settle()
            self._after(self._runner.run(None))

    def drain(self, timeout_s: float) -> bool:
        """Runs until bounded sources have ended, queues are empty and targets have everything.

        Returns:
            False if that takes longer than `timeout_s`.

        Raises:
            InternalError: the engine itself has ended with a failure.
        """
        deadline = time.monotonic() + timeout_s
        while not self._is_drained():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self.is_started:
                with self._counting:
                    self._counting.wait(min(_DRAIN_S, left))
            else:
                self.step()
        return all(
            t.deliverer.flush(max(0.0, deadline - time.monotonic()))
            for t in self.flow.targets()
            if t.deliverer.is_running
        )

    # --- the worker's thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.wait(_IDLE_S)
            self._news.clear()
            if self._stopping.is_set():
                break
            self._let_others()
            if self._is_paused:
                continue
            try:
                with self._turn:
                    if not self._may_go_on():
                        continue
                    taken = self._one_epoch()
            except BaseException as e:  # noqa: BLE001  # the thread must end with a state, not silently
                self.failure = f"{type(e).__name__}: {e}"
                self.version += 1
                break
            with self._counting:
                self._counting.notify_all()
            self._rest(taken)

    def _one_epoch(self) -> int:
        """How many rows it took."""
        if self._runner.is_unsettled:
            self._after(self._runner.run(0))
        start_s = time.perf_counter()
        outcome = self._runner.run(self._size.rows)
        deltas = [outcome.deltas[n.id] for n in self.flow.sources() if n.id in outcome.deltas]
        taken = sum(len(d) for d in deltas)
        self._size.ran(taken, time.perf_counter() - start_s)
        self._after(outcome)
        return taken

    def _rest(self, taken: int) -> None:
        """Before the next epoch: none if rows wait; rows that stream in are gathered."""
        has_more = taken > 0 and any(s.reader.has_rows for s in self.flow.sources())
        if taken >= _MANY_ROWS:
            deadline = time.monotonic() + _GATHER_S
            while (left := deadline - time.monotonic()) > 0 and self._may_gather():
                self._news.wait(left)
                self._news.clear()
            self._news.set()
        elif has_more:
            self._news.set()
        else:
            self._stopping.wait(_PAUSE_S)

    def _may_gather(self) -> bool:
        """Rows to come are worth to wait for: the queues of those that bring them are not full yet."""
        if self._stopping.is_set():
            return False
        readers = [s.reader for s in self.flow.sources()]
        is_behind = any(r.queued_rows >= _MANY_ROWS * 5 for r in readers)
        return not is_behind and any(r.is_filling for r in readers)

    def _may_go_on(self) -> bool:
        """Asked again where no epoch of somebody else's can begin in between."""
        return not self._is_paused and not self._stopping.is_set()

    def _let_others(self) -> None:
        """A lock is not fair: step back while somebody waits for the graph, but never for long."""
        with self._counting:
            self._counting.wait_for(lambda: not self._waiting or self._stopping.is_set(), _YIELD_S)

    def _after(self, outcome: Outcome) -> None:
        if any(d.num_rows for d in outcome.deltas.values()):
            self.version += 1
        for name in outcome.deltas:
            listeners, delta = self._subscribers.get(name), outcome.outside(name)
            if listeners and delta is not None and delta.num_rows:
                rows = visible(delta, with_weight=True)
                for fn in list(listeners):
                    self._call(name, fn, outcome.epoch, rows)

    def _call(self, name: str, fn: Subscriber, epoch: int, rows: pa.Table) -> None:
        """A subscriber that raises is called no more; the stream goes on, and its node says so."""
        try:
            fn(epoch, rows)
        except Exception as e:  # noqa: BLE001  # anybody's code
            with suppress(ValueError):  # it may have unsubscribed itself
                self._subscribers[name].remove(fn)
            self.notes[name] = f"a subscriber failed and was dropped: {type(e).__name__}: {e}"

    def _open_for_step(self) -> None:
        """A step needs what runs by itself otherwise: loaded caches, sources that have looked once."""
        for cache in self.flow.caches():
            cache.loader.start()
        for target in self.flow.targets():
            target.deliverer.start()
        for cache in self.flow.caches():
            cache.loader.wait_loaded(_CACHE_WAIT_S)
        for source in self.flow.sources():
            source.reader.start()
        for source in self.flow.sources():
            source.reader.wait_for_read(_READ_WAIT_S)

    def _is_drained(self) -> bool:
        self.check()
        with self.between_epochs():
            for source in self.flow.sources():
                state, _ = source.state()
                if state == "failed":
                    continue
                if source.reader.has_rows or (
                    source.reader.source.is_bounded and not source.has_ended
                ):
                    return False
            return not self._runner.is_unsettled


def _start(node: RunningNode) -> None:
    if isinstance(node, SourceNode) and not node.failure:
        node.reader.start()
    elif isinstance(node, CacheNode):
        node.loader.start()
    elif isinstance(node, TargetNode):
        node.deliverer.start()


def _stop(node: RunningNode) -> None:
    if isinstance(node, SourceNode):
        node.reader.stop()
    elif isinstance(node, CacheNode):
        node.loader.stop()
    elif isinstance(node, TargetNode):
        node.deliverer.stop()
