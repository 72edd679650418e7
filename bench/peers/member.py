"""One system with one query in a process of its own, as the runner sees it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.peers import files
from bench.peers.environment import ROOT
from bench.peers.peer import NotExpressibleError


class DiedError(Exception):
    """The process ended, and nobody had asked it to; the text is the end of its log."""


class Member:
    """Alive from the start to `close`; between rounds it waits."""

    def __init__(self, system: str, query: str, python: Path, folder: Path) -> None:
        self.system = system
        self._log = folder / f"{system}-{query}.log"
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-m", "bench.peers.worker", system, query, folder],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )  # fmt: skip

    def started(self) -> str:
        """The versions, as soon as it can run.

        Raises:
            NotExpressibleError: the system cannot say the query.
            DiedError: it could not start.
        """
        told = self._hear()
        if "not_expressible" in told:
            raise NotExpressibleError(told["not_expressible"])
        return str(told["versions"])

    def answer(self) -> pa.Table:
        """Runs once, and gives the result."""
        return files.read(Path(self._ask("check")["answer"]))

    def round(self) -> tuple[float, float]:
        """Seconds on the wall, and of all processors."""
        told = self._ask("round")
        return told["wall_s"], told["cpu_s"]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word + "\n")
        except BrokenPipeError:
            raise DiedError(self._last_words()) from None
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DiedError(self._last_words())
        told: dict[str, Any] = json.loads(line)
        return told

    def _last_words(self) -> str:
        """The last line that names an error, else the last."""
        lines = [w for w in self._log.read_text(errors="replace").splitlines() if w.strip()]
        errors = [w for w in lines if "Error" in w or "Exception" in w]
        return (errors or lines or ["no word"])[-1].strip()
