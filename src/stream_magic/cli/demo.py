"""The demo: JupyterLab on the tour, or the same story in the terminal with its counts checked."""

from __future__ import annotations

import csv
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stream_magic.app.app import App
from stream_magic.cli.text import status_text, table_text
from stream_magic.contracts.registry import registry

RATE = 200.0  # order changes a second
_TOPIC = "shop_orders"
_SETTLE_S = 60.0


def open_lab(port: int, *, open_browser: bool) -> int:
    """JupyterLab on examples/00_tour.ipynb; prints the address with its token."""
    notebook = Path.cwd() / "examples" / "00_tour.ipynb"
    if not notebook.is_file():
        notebook = Path(__file__).parents[3] / "examples" / "00_tour.ipynb"
    if not notebook.is_file():
        print(
            "The tour is in the project's examples/ folder: run `make demo` there.", file=sys.stderr
        )
        return 1
    token = secrets.token_hex(16)
    print(
        f"JupyterLab opens on http://127.0.0.1:{port}/lab/tree/{notebook.name}?token={token}",
        flush=True,
    )
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(notebook),
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={token}",
    ]
    if not open_browser:
        command.append("--no-browser")
    if os.name == "posix" and os.geteuid() == 0:
        command.append("--allow-root")
    return subprocess.call(command)  # noqa: S603  # our own interpreter, no shell


def run_headless(seconds: float, out: Path | None) -> int:
    """Runs the story for about `seconds`; prints its tables, and as the last line JSON with the counts.

    Returns:
        0 only if all counts agree.
    """
    with _folder(out) as folder:
        os.environ |= {
            "DEMO_DIR": str(folder),
            "DEMO_ROWS": str(max(1, round(seconds * RATE))),
            "DEMO_RATE": str(RATE),
        }
        pq.write_table(registry.source("generator").catalogue(), folder / "products.parquet")  # type: ignore[attr-defined]
        app = App("demo")
        app.execute(Path(__file__).with_name("story.sql").read_text())
        log = _InputLog(app)
        dump = _TopicDump()
        app.start()
        try:
            _watch(app)
            status = app.status()
            tables = {t: app.sql(f"SELECT * FROM {t}").to_arrow_table() for t in ("revenue",)}
            app.stop()
            messages = dump.stop()
            report = _report(app, status, log.rows(), messages, folder, tables)
        finally:
            app.close()
        if out is not None:
            _keep(folder, log.rows(), messages, tables)
    print(json.dumps(report), flush=True)
    return 0 if report["agree"] else 1


def _watch(app: App) -> None:
    """Prints the live tables until the orders have gone all the way through."""
    next_print = 0.0
    settled_by: float | None = None
    while not _is_through(app):
        now = time.monotonic()
        if app.status()["orders"]["state"] == "complete" and settled_by is None:
            settled_by = now + _SETTLE_S
        if settled_by is not None and now > settled_by:
            break
        if now >= next_print:
            _print_tables(app)
            next_print = now + 2
        time.sleep(0.05)
    _print_tables(app)


def _is_through(app: App) -> bool:
    s = app.status()
    return bool(
        s["orders"]["state"] == "complete"
        and s["to_kafka"]["rows_out"] == s["enriched"]["rows_out"]
        and s["from_kafka"]["rows_out"] + s["from_kafka"]["errors"] >= s["to_kafka"]["rows_out"]
        and s["csv_files"]["rows_out"] == s["elsewhere"]["rows_out"]
    )


def _print_tables(app: App) -> None:
    print(f"\nepoch {app.epoch:,}")
    print(status_text(app.status()))
    print("\nrevenue by category, windows of 10 seconds")
    print(
        table_text(
            app.sql(
                "SELECT * FROM revenue ORDER BY window_end DESC, revenue DESC LIMIT 8"
            ).to_arrow_table()
        ),
        flush=True,
    )


def _report(
    app: App, status: dict[str, dict[str, Any]], orders: pa.Table, messages: list[dict[str, Any]],
    folder: Path, tables: dict[str, pa.Table],
) -> dict[str, Any]:  # fmt: skip
    """Counts the same rows in several places, each on its own way."""
    with_row = sum(1 for a in orders.column("after").to_pylist() if a is not None)
    amounts = [m["amount"] for m in messages]
    kept = sum(1 for m in messages if m["location_id"] != 10)
    csv_rows = _csv_rows(folder / "orders")
    revenue = tables["revenue"]
    checks = {
        "every order with a row is on the topic": with_row
        == len(messages)
        == status["to_kafka"]["rows_out"],
        "every message came back": len(messages) == status["from_kafka"]["rows_out"],
        "the files hold all but location 10": kept
        == len(csv_rows)
        == status["csv_files"]["rows_out"]
        and all(r["location_id"] != "10" for r in csv_rows),
        "the windows hold every message": sum(revenue.column("orders").to_pylist())
        == len(messages) - status["revenue"]["errors"],
        "the windows hold every amount": status["revenue"]["errors"] > 0
        or abs(
            float(sum(revenue.column("revenue").to_pylist(), start=0)) - sum(map(float, amounts))
        )
        < 0.005,
        "no node failed": all(s["state"] != "failed" for s in status.values()),
    }
    return {
        "app": app.name,
        "rows_in": {n: s["rows_in"] for n, s in status.items()},
        "rows_out": {n: s["rows_out"] for n, s in status.items()},
        "errors": {n: s["errors"] for n, s in status.items()},
        "checks": checks,
        "agree": all(checks.values()),
    }


def _csv_rows(folder: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as f:
            rows += list(csv.DictReader(f))
    return rows


class _InputLog:
    """Every order change, as it came in."""

    def __init__(self, app: App) -> None:
        self._parts: list[pa.Table] = []
        self._schema = app["orders"].schema
        app["orders"].subscribe(
            lambda _, delta: self._parts.append(delta.drop_columns(["_weight"]))
        )

    def rows(self) -> pa.Table:
        return pa.concat_tables([self._schema.empty_table(), *self._parts])


class _TopicDump:
    """Reads the topic with a client of its own: an independent witness."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._read, name="stream_magic demo witness", daemon=True
        )
        self._thread.start()

    def stop(self) -> list[dict[str, Any]]:
        """All messages, once nothing comes any more."""
        self._is_stopping.set()
        self._thread.join()
        return self._messages

    def _read(self) -> None:
        from confluent_kafka import Consumer, TopicPartition

        from stream_magic.connectors.kafka.embedded import embedded_broker

        broker = embedded_broker()
        broker.ensure_topic(_TOPIC)
        consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": "witness",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        consumer.assign(
            [
                TopicPartition(_TOPIC, p, 0)
                for p in consumer.list_topics(_TOPIC).topics[_TOPIC].partitions
            ]
        )
        while True:
            found = consumer.consume(10_000, timeout=0.5)
            for m in found:
                if m.error() is None:
                    place = {
                        "_partition": m.partition(),
                        "_offset": m.offset(),
                        "_key": m.key().decode(),
                    }
                    self._messages.append({**json.loads(m.value()), **place})
            if not found and self._is_stopping.is_set():
                break
        consumer.close()


def _keep(
    folder: Path, orders: pa.Table, messages: list[dict[str, Any]], tables: dict[str, pa.Table]
) -> None:
    """Writes down what the counts can be checked by."""
    pq.write_table(orders, folder / "input_log.parquet")
    with (folder / "topic_dump.jsonl").open("w", encoding="utf-8") as f:
        f.writelines(json.dumps(m, ensure_ascii=False) + "\n" for m in messages)
    for name, rows in tables.items():
        pq.write_table(rows, folder / f"table_{name}.parquet")


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="stream_magic_demo_") as name:
        yield Path(name)
