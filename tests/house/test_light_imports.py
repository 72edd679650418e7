"""What is imported when: a notebook must not feel `%load_ext`, nor pay for systems that it does not use."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = (
    "duckdb", "sqlglot", "pyarrow", "pandas", "numpy", "ipywidgets", "anywidget", "bqplot",
    "confluent_kafka", "pymysql", "pymysqlreplication",
)  # fmt: skip
CLIENTS = ("confluent_kafka", "pymysql", "pymysqlreplication", "bqplot")


def loaded_after(code: str, among: tuple[str, ...]) -> list[str]:
    """Which modules a fresh interpreter has after `code`."""
    look = f"import sys, json; print(json.dumps([m for m in {among!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{look}"], capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_import_stream_magic_is_light():
    assert loaded_after("import stream_magic", HEAVY) == []


def test_load_ext_is_light():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'stream_magic')\n"
        "assert 'cq' in shell.magics_manager.magics['cell']"
    )
    assert loaded_after(code, HEAVY) == []


def test_an_app_imports_no_client_before_it_is_used():
    code = (
        "import stream_magic\n"
        "app = stream_magic.App('x')\n"
        "app.execute(\"CREATE SOURCE s (id INT) WITH (connector = 'memory')\")\n"
        "app.close()"
    )
    assert loaded_after(code, CLIENTS) == []
