"""streamz with its streaming DataFrames: batches of pandas rows, whose groups are added to running ones."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa

from bench.peers.peer import NotExpressibleError, Peer
from bench.peers.queries import FEW, FILTER, SLIDE_S, WINDOW_S

_BATCH_ROWS = 100_000
_REASONS = {
    "tumbling_max": "a grouped streaming frame has sum, count, mean, size, var and std, and no max",
    "session_count": "its windows reach back a time or a number of rows, and do not end by a gap",
    "window_join": "a streaming frame is merged with a frame that stays as it is, not with another stream",
}


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = (
        "streamz>=0.6.4,<0.7",
        "pandas>=2.2,<4",
        "pyarrow>=20,<27",
    )
    reads = f"pandas frames of {_BATCH_ROWS:,} rows in memory; the result is the last running frame, or the list of frames; results are live"

    def __init__(self, query: str, tables: dict[str, pa.Table]) -> None:
        super().__init__(query, tables)
        if query in _REASONS:
            raise NotExpressibleError(_REASONS[query])
        bids = tables["bid"]
        self._batches = [
            bids.slice(i, _BATCH_ROWS).to_pandas() for i in range(0, bids.num_rows, _BATCH_ROWS)
        ]

    def prepare(self) -> None:
        from streamz import Stream
        from streamz.dataframe import DataFrame

        self._source, self._out = Stream(), []
        _QUERIES[self.query](DataFrame(self._source, example=self._batches[0].head(0))).stream.sink(
            self._take
        )

    def run(self) -> None:
        for batch in self._batches:
            self._source.emit(batch)

    def answer(self) -> pa.Table:
        import pandas as pd

        if self.query in {"map", "filter"}:
            return pa.Table.from_pandas(pd.concat(self._out), preserve_index=False)
        return pa.Table.from_pandas(
            self._out[0].rename("value").reset_index(), preserve_index=False
        )

    def clear(self) -> None:
        del self._source, self._out

    def _take(self, frame: Any) -> None:
        """Of running groups only the newest."""
        if self.query not in {"map", "filter"}:
            self._out.clear()
        self._out.append(frame)


def _map(bids: Any) -> Any:
    return bids.assign(price=bids.price * 0.908)


def _filter(bids: Any) -> Any:
    return bids[bids.auction % FILTER == 0][["auction", "price"]]


def _sum_100(bids: Any) -> Any:
    return bids.assign(k=bids.auction % FEW).groupby("k").price.sum()


def _sum_200k(bids: Any) -> Any:
    return bids.groupby("bidder").price.sum()


def _tumbling_count(bids: Any) -> Any:
    return bids.map_partitions(_tumbled, bids).groupby(["bidder", "w"]).size()


def _hopping_count(bids: Any) -> Any:
    return bids.map_partitions(_hopped, bids).groupby(["auction", "w"]).size()


def _tumbled(frame: Any) -> Any:
    return frame.assign(w=frame.ts.dt.floor(f"{WINDOW_S}s"))


def _hopped(frame: Any) -> Any:
    """Each row once for every window that it is in."""
    import pandas as pd

    last = frame.ts.dt.floor(f"{SLIDE_S}s")
    steps = range(0, WINDOW_S, SLIDE_S)
    return pd.concat(
        [frame.assign(w=last - pd.Timedelta(seconds=s)) for s in steps], ignore_index=True
    )


_QUERIES = {
    "map": _map,
    "filter": _filter,
    "hopping_count": _hopping_count,
    "tumbling_count": _tumbling_count,
    "sum_100": _sum_100,
    "sum_200k": _sum_200k,
}
