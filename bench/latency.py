"""How long a user waits: `%%cq` on a running stream until its first rows are there, and `%load_ext`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.result import Latency
from stream_magic.app.app import App
from stream_magic.app.session import session

ROUNDS = 7
SOURCE = """
CREATE SOURCE orders WITH (connector = 'generator', rate = 10000);
CREATE STREAM placed AS SELECT after.order_id, after.amount, after.location_id AS location, ts FROM orders WHERE op = 'c';
"""
FORMS = {
    "filter": "SELECT order_id, amount, location FROM placed WHERE amount > 20",
    "running count": "SELECT location, count(*) AS n, sum(amount) AS total FROM placed GROUP BY location",
}
# The import of IPython itself is the shell's, not ours.
LOAD = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start = time.perf_counter()
shell.run_line_magic('load_ext', 'stream_magic')
print(time.perf_counter() - start)
"""


def measure() -> list[Latency]:
    """Medians. A cell counts as answered when it has returned and its query has rows to show."""
    return [
        *(Latency(f"%%cq, {name}", s, 1) for name, s in _cells().items()),
        Latency("%load_ext", statistics.median(_load_s() for _ in range(ROUNDS)), 1),
    ]


def _load_s() -> float:
    ran = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    return float(ran.stdout.split()[-1])


def _cells() -> dict[str, float]:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "stream_magic")
    medians = {}
    with capture_output():
        shell.run_cell_magic("stream", "latency", SOURCE)
        app = session().find("latency")
        assert app is not None
        _wait_for_rows(app, "placed", 20_000)
        for form, select in FORMS.items():
            seconds = []
            for n in range(ROUNDS):
                name = f"{form.split()[0]}{n}"
                start = time.perf_counter()
                shell.run_cell_magic("cq", name, select)
                _wait_for_rows(app, name, 1)
                seconds.append(time.perf_counter() - start)
                app.execute(f"DROP STREAM {name}")
            medians[form] = statistics.median(seconds)
        app.close()
    return medians


def _wait_for_rows(app: App, name: str, rows: int) -> None:
    deadline = time.monotonic() + 60
    while app[name].preview(rows).num_rows < rows:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} has no {rows} rows: {app.status()}")
        time.sleep(0.002)
