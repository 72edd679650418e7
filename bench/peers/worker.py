"""`python -m bench.peers.worker SYSTEM QUERY FOLDER`: one system with one query, in its environment, told what to do by lines.

`round` answers with the seconds of a run, `check` runs and writes the answer to a file, the end of the input ends it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from bench.peers import files
from bench.peers.adapters import adapter
from bench.peers.peer import NotExpressibleError, Peer
from bench.peers.queries import QUERIES


def main() -> None:
    system, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    # What systems print goes to the log, so that the pipe carries our lines only.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(**words: Any) -> None:
        out.write(json.dumps(words) + "\n")

    try:
        peer: Peer = adapter(system)(name, files.read_rows(folder, QUERIES[name].reads))
    except NotExpressibleError as e:
        tell(not_expressible=str(e))
        return
    tell(versions=_versions(peer))
    for line in sys.stdin:
        wall_s, cpu_s = _timed(peer)
        if line.strip() == "check":
            path = folder / f"{system}-{name}.arrow"
            files.write(path, peer.answer())
            tell(answer=str(path))
        else:
            tell(wall_s=wall_s, cpu_s=cpu_s)
        peer.clear()
    peer.close()


def _timed(peer: Peer) -> tuple[float, float]:
    """Seconds on the wall, and of all processors in this process and those below it."""
    peer.prepare()
    cpu_s, start = _cpu_s(), time.perf_counter()
    peer.run()
    wall_s = time.perf_counter() - start
    return wall_s, _cpu_s() - cpu_s


def _cpu_s() -> float:
    this = psutil.Process()
    return sum(sum(p.cpu_times()[:4]) for p in (this, *this.children(recursive=True)))


def _versions(peer: Peer) -> str:
    names = [r.split("=")[0].split(">")[0].split("<")[0] for r in peer.requirements]
    return ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names)


if __name__ == "__main__":
    main()
