"""The magics in a real kernel."""

from __future__ import annotations

from pathlib import Path

from notebook.conftest import Kernel, started, texts

ORDERS = """%%stream
CREATE SOURCE orders (id BIGINT, amount DOUBLE) WITH (connector = 'memory');
CREATE STREAM big AS SELECT id, amount FROM orders WHERE amount > 10;
CREATE TABLE total AS SELECT count(*) AS n, sum(amount) AS amount FROM big;"""


def test_the_first_minute(kernel: Kernel):
    outputs = kernel.run(
        "%%stream\nCREATE SOURCE orders WITH (connector = 'generator', rate = 500);\n"
        "CREATE TABLE by_status AS SELECT after.status, count(*) AS n FROM orders GROUP BY after.status"
    )
    assert "application/vnd.jupyter.widget-view+json" in outputs[0]["data"]
    live = kernel.run("%%cq q\nSELECT op, count(*) AS n FROM orders GROUP BY op")
    assert "application/vnd.jupyter.widget-view+json" in live[0]["data"]
    kernel.run("app = %stream app")
    kernel.until("app.status()['q']['rows_in'] > 100")
    status = kernel.run("%stream status")[0]["data"]
    assert "orders" in status["text/html"]
    assert "running" in status["text/plain"]
    assert kernel.value("app.sql('SELECT count(*) > 0 AS some FROM by_status').df().some[0]") in (
        "True",
        "np.True_",
    )
    kernel.run("%stream stop")
    assert "stopped" in texts(kernel.run("%stream status"))


def test_a_typo_in_the_third_statement_shows_our_lines_alone_and_applies_nothing(kernel: Kernel):
    shown = kernel.fails(
        "%%stream\n"
        "CREATE SOURCE s (id INT) WITH (connector = 'memory');\n"
        "CREATE STREAM a AS SELECT id FROM s;\n"
        "CREATE STREAM b AS SELECT id FROM ss"
    )
    assert shown == (
        "CellError: SM2002 there is no stream, table or cache 'ss'\n"
        "  4 | CREATE STREAM b AS SELECT id FROM ss\n"
        "    |                                   ^^\n"
        "hint: did you mean 's'?\n\n"
        "Nothing in this cell was applied."
    )
    assert "no nodes yet" in texts(kernel.run("%stream status"))


def test_a_mistake_on_the_line_of_a_magic_shows_our_lines_alone(kernel: Kernel):
    kernel.run(ORDERS)
    shown = kernel.fails("%stream previw big")
    assert shown == (
        "ConfigError: SM7070 %stream has no command 'previw'\n"
        "  1 | %stream previw big\n"
        "    |         ^^^^^^\n"
        "hint: did you mean 'preview'?"
    )


def test_the_same_cell_twice_keeps_its_state_and_a_changed_one_replaces_what_depends_on_it(
    kernel: Kernel,
):
    kernel.run(ORDERS)
    kernel.run("app = %stream app\nflow = app._engine.flow")
    kernel.run(
        "app.push('orders', [{'id': i, 'amount': float(i)} for i in range(21)]); app.drain()"
    )
    kernel.run("before = {n.id: n for n in flow}")
    kernel.run(ORDERS)
    assert kernel.value("all(flow[i] is n for i, n in before.items())") == "True"
    assert kernel.value("app['total'].preview().to_pylist()[0]['n']") == "10"
    kernel.run(ORDERS.replace("> 10", "> 15"))
    assert kernel.value("[i for i, n in before.items() if flow[i] is n]") == "['orders']"
    assert kernel.value("app['total'].preview().to_pylist()[0]['n']") == "5"


def test_loading_the_extension_twice_says_so_and_breaks_nothing(kernel: Kernel):
    kernel.run(ORDERS)
    assert "already loaded" in texts(kernel.run("%load_ext stream_magic"))
    kernel.run("%%cq q\nSELECT id FROM big")


def test_interrupting_a_cell_that_asks_the_outside_leaves_the_app_as_it_was(
    kernel: Kernel, tmp_path: Path
):
    kernel.run(ORDERS)
    marker = tmp_path / "asked"
    kernel.run(f"""
import pathlib, time
import pyarrow as pa
from stream_magic.connectors.generator import GeneratorSource
from stream_magic.contracts.registry import registry

class SlowSource(GeneratorSource):
    def schema(self):
        pathlib.Path({str(marker)!r}).touch()
        time.sleep(300)

registry.add("sources", "slow", SlowSource)""")
    with kernel.interrupted_when(marker.exists):
        shown = kernel.fails(
            "%%stream\nCREATE STREAM other AS SELECT id FROM orders;\n"
            "CREATE SOURCE never WITH (connector = 'slow')"
        )
    assert "KeyboardInterrupt" in shown
    kernel.run("app = %stream app")
    assert kernel.value("list(app.status())") == "['orders', 'big', 'total']"
    kernel.run("app.push('orders', [{'id': 1, 'amount': 20.0}]); app.drain()")
    assert kernel.value("app['total'].preview().to_pylist()[0]['n']") == "1"
    assert kernel.value("app.is_started") == "True"


def test_interrupting_other_code_does_not_touch_a_running_stream(kernel: Kernel, tmp_path: Path):
    kernel.run("%%stream\nCREATE SOURCE orders WITH (connector = 'generator', rate = 500)")
    kernel.run("app = %stream app")
    marker = tmp_path / "begun"
    with kernel.interrupted_when(marker.exists):
        code = f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(300)"
        assert "KeyboardInterrupt" in kernel.fails(code)
    kernel.run("seen = app.status()['orders']['rows_out']")
    kernel.until("app.status()['orders']['rows_out'] > seen")
    assert kernel.value("app.status()['orders']['state']") == "'running'"


def test_a_failing_thread_prints_into_no_cell(kernel: Kernel):
    kernel.run(ORDERS)
    kernel.run("""
app = %stream app
def fail(epoch, delta):
    raise RuntimeError("subscriber is broken")
_ = app["big"].subscribe(fail)
import threading
alive = threading.active_count()""")
    kernel.run("app.push('orders', [{'id': 1, 'amount': 20.0}]); app.drain()")
    kernel.run("app._engine.flow['orders'].reader.source.read = None")
    kernel.run("app._engine._runner.run = None; app._engine.wake()")
    kernel.until("app._engine.failure")
    later = [kernel.run("pass"), kernel.run("import time; time.sleep(0)")]
    assert later == [[], []]
    printed = [
        o for cell in kernel.notebook.cells for o in cell.outputs if o.output_type == "stream"
    ]
    assert printed == []
    assert "failed" in texts(kernel.run("%stream status"))


def test_a_restarted_kernel_starts_fresh(tmp_path: Path):
    for _ in range(2):
        with started(tmp_path) as kernel:
            kernel.run(ORDERS)
            kernel.run("app = %stream app")
            kernel.run("app.push('orders', [{'id': 1, 'amount': 20.0}]); app.drain()")
            assert kernel.value("app['total'].preview().to_pylist()[0]['n']") == "1"


def test_a_query_over_much_history_returns_before_it_has_ended(kernel: Kernel):
    kernel.run("%%stream\nCREATE SOURCE orders WITH (connector = 'generator', rows = 2000000)")
    kernel.run(
        "%%cq q\nSELECT after.product_id, count(*) AS n FROM orders GROUP BY after.product_id"
    )
    kernel.run("app = %stream app")
    assert kernel.value("app.status()['orders']['state']") == "'running'"
    kernel.until("app['q'].preview().num_rows > 0")


def test_a_python_function_of_a_cell_is_one_of_sql(kernel: Kernel):
    define = (
        "import stream_magic\n\n@stream_magic.udf\ndef marked(amount: float) -> str:\n"
        "    print('called')\n    return '{}' if amount > 10 else f'{{1 / amount:g}}'"
    )
    kernel.run(define.format("much"))
    kernel.run(ORDERS + "\nCREATE TABLE marks AS SELECT id, marked(amount) AS mark FROM orders;\n")
    kernel.run("app = %stream app")
    kernel.run(
        "app.push('orders', [{'id': i, 'amount': a} for i, a in enumerate([20.0, 4.0, 0.0])])"
    )
    rows = "sorted(app.sql('FROM marks').fetchall())"
    kernel.until(f"{rows} == [(0, 'much'), (1, '0.25')]")
    reason = kernel.value("app.sql('SELECT reason FROM errors.marks').fetchall()[0][0]")
    assert reason == "'marked: ZeroDivisionError: float division by zero'"
    node = kernel.value("id(app._engine.flow['marks'])")
    kernel.run(define.format("much"))
    assert kernel.value("id(app._engine.flow['marks'])") == node, "the same text changes nothing"
    kernel.run(define.format("a lot"))
    kernel.until(f"{rows} == [(0, 'a lot'), (1, '0.25')]")
    shown = kernel.fails(define.format("much").replace("amount: float", "amount: bytes"))
    assert shown.startswith(
        "LanguageError: SM2006 with this change of marked, marks does not work any more"
    )
    assert "hint: marked takes (BLOB)" in shown
