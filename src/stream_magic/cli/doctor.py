"""`stream-magic doctor`: what is installed, what answers, one line of advice each."""

from __future__ import annotations

import importlib.metadata
import shutil
import socket
import sys

_NEEDED = ("duckdb", "sqlglot", "pyarrow", "ipython", "ipywidgets", "bqplot", "anywidget", "jupyterlab", "panel",
           "confluent-kafka", "mysql-replication", "pymysql", "msgspec")  # fmt: skip
_ANSWER_S = 1.0


def examine(brokers: str, mysql: str) -> int:
    """Prints a line for each check; returns 1 if something that is needed is missing."""
    is_well = _python()
    missing = [name for name in _NEEDED if not _package(name)]
    _line(True, "embedded Kafka", "in confluent-kafka: brokers = 'embedded' works without a server")
    _program(
        "java",
        "real Apache Kafka can run here",
        "install Java 17 to run a real Kafka beside you; not needed else",
    )
    for address in brokers.split(","):
        _server("Kafka", address, "start it, or write brokers = 'embedded'")
    _server(
        "MySQL or MariaDB", mysql, "start it, or try connector = 'generator', which needs no server"
    )
    is_well = is_well and not missing
    print(
        "all that is needed is there"
        if is_well
        else "something that is needed is missing: pip install stream_magic"
    )
    return 0 if is_well else 1


def _python() -> bool:
    version = ".".join(map(str, sys.version_info[:3]))
    is_new = sys.version_info >= (3, 11)
    _line(is_new, f"Python {version}", "" if is_new else "3.11 or later is needed")
    return is_new


def _package(name: str) -> bool:
    try:
        _line(True, f"{name} {importlib.metadata.version(name)}", "")
    except importlib.metadata.PackageNotFoundError:
        _line(False, name, f"pip install {name}")
        return False
    return True


def _program(name: str, good: str, advice: str) -> None:
    found = shutil.which(name)
    _line(found is not None, name, good if found else advice)


def _server(kind: str, address: str, advice: str) -> None:
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_ANSWER_S):
            _line(True, f"{kind} at {address}", "answers")
    except (OSError, ValueError):
        _line(False, f"{kind} at {address}", f"does not answer: {advice}")


def _line(is_good: bool, what: str, note: str) -> None:
    print(f"{'ok  ' if is_good else '--  '} {what}{': ' + note if note else ''}")
