"""A real JupyterLab and a page on it: started once, used by every browser test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
START_S = 60
CELL_S = 60


class Lab:
    """A running JupyterLab: its address, its token, the folder that it serves."""

    def __init__(self, folder: Path, port: int, token: str, log: Path) -> None:
        self.folder = folder
        self.address = f"http://127.0.0.1:{port}"
        self.token = token
        self.log = log

    def ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"{self.address}/api/{path}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def write(self, name: str, cells: list[str]) -> str:
        """A notebook of code cells in the served folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        path = (
            self.folder / f"{name}-{secrets.token_hex(4)}.ipynb"
        )  # Lab remembers sessions by path
        nbformat.write(notebook, path)
        return path.name

    def stop_kernels(self) -> None:
        """Kernels outlive their page and keep old modules."""
        for session in self.ask("GET", "sessions"):
            self.ask("DELETE", f"sessions/{session['id']}")


class NotebookPage:
    """A notebook open in JupyterLab, run cell by cell."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def cell(self, index: int) -> Any:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def output(self, index: int) -> Any:
        return self.cell(index).locator(".jp-OutputArea-output")

    def show(self, index: int) -> Any:
        """Scrolls a cell's output to the foot of the window."""
        output = self.output(index)
        output.evaluate("node => node.scrollIntoView({ block: 'end' })")
        return output

    def run_all(self) -> None:
        """Runs every cell, and waits until each has its number."""
        self._start()
        count = self.page.locator(".jp-Notebook .jp-CodeCell").count()
        for i in range(count):
            prompt = self.cell(i).locator(".jp-InputPrompt")
            expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=CELL_S * 1000)

    def _start(self) -> None:
        """The command is lost while the kernel is still coming up: it is given until it counts."""
        first = self.cell(0).locator(".jp-InputPrompt")
        for _ in range(6):
            self.cell(0).click()
            self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
            with contextlib.suppress(AssertionError):
                expect(first).to_have_text(re.compile(r"\[\d+\]:"), timeout=10_000)
                return
        pytest.fail("the notebook does not run")

    def set_theme(self, name: str) -> None:
        """'JupyterLab Light' or 'JupyterLab Dark'."""
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name
        )
        light = "true" if name.endswith("Light") else "false"
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", light)
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for the whole run, with settings of its own."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "notebooks"
    folder.mkdir()
    _set(home, "apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})
    # Cells out of sight are not in the page otherwise, and a test could not look at them.
    _set(home, "notebook-extension/tracker", {"windowingMode": "none"})
    running = Lab(folder, _free_port(), secrets.token_hex(16), home / "lab.log")
    environment = {
        **os.environ,
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
        f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={running.address.rsplit(':', 1)[1]}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={running.token}",
    ]  # fmt: skip
    with running.log.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        _wait_until_up(running, process)
        yield running
        running.stop_kernels()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _set(home: Path, plugin: str, settings: dict[str, Any]) -> None:
    path = home / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))


def _wait_until_up(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            lab.ask("GET", "status")
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"JupyterLab did not start:\n{lab.log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium of the system."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("browser tests need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of a browser window of 1440 x 1000."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    yield page
    context.close()


@pytest.fixture
def open_notebook(lab: Lab, page: Page) -> Iterator[Callable[[str], NotebookPage]]:
    """Opens a notebook of the served folder and waits until its kernel is idle."""

    def open_it(name: str) -> NotebookPage:
        page.goto(f"{lab.address}/lab/tree/{name}?token={lab.token}&reset")
        idle = page.locator(
            '.jp-NotebookPanel-toolbar .jp-Notebook-ExecutionIndicator[data-status="idle"]'
        )
        idle.wait_for(timeout=START_S * 1000)
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        opened = NotebookPage(page)
        opened.set_theme("JupyterLab Light")  # settings outlive a test
        return opened

    yield open_it
    lab.stop_kernels()
