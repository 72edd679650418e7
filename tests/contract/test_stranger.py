"""A connector from a separate package: one file, one entry point."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "http_poll_package"

PROGRAM = """
import json, sys, time
import stream_magic

app = stream_magic.App("stranger")
app.execute('''
CREATE SOURCE rates (currency VARCHAR, rate DECIMAL(10, 4))
  WITH (connector = 'http-poll', url = '{url}', every = '20 ms') FORMAT json;
CREATE TABLE seen AS SELECT currency, count(*) AS n, max(rate) AS rate FROM rates GROUP BY currency;
''')
described = app.execute("DESCRIBE CONNECTOR 'http-poll'").to_pylist()
app.start()
deadline = time.monotonic() + 30
while time.monotonic() < deadline and app.status()["rates"]["rows_out"] < 5:
    time.sleep(0.01)
rows = app.sql("SELECT * FROM seen").fetchall()
app.stop()
try:
    app.execute("CREATE SOURCE again WITH (connector = 'http-poll', uri = 'x')")
except stream_magic.StreamMagicError as e:
    message = str(e)
print(json.dumps({{"rows": rows, "options": [o["option"] for o in described], "message": message}}, default=str))
"""


class _Rates(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"currency": "SEK", "rate": "11.0525"}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def rates_url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Rates)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/rates"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_package_of_one_file_and_one_entry_point_adds_a_connector(
    tmp_path: Path, rates_url: str
) -> None:
    installed = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(installed),
        str(PACKAGE),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    program = tmp_path / "program.py"
    program.write_text(
        f"import site; site.addsitedir({str(installed)!r})\n" + PROGRAM.format(url=rates_url)
    )
    run = subprocess.run(
        [sys.executable, str(program)], check=True, capture_output=True, text=True, timeout=120
    )
    said = json.loads(run.stdout)
    [[currency, n, rate]] = said["rows"]
    assert (currency, rate) == ("SEK", "11.0525")
    assert n >= 5
    assert said["options"][0] == "url"
    assert "allowed_lateness" in said["options"]
    assert "did you mean 'url'?" in said["message"]
