"""A virtual environment for each system, made once in a folder that git ignores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.peers.adapters import OURS, adapter

ROOT = Path(__file__).parents[2]
_FOLDER = ROOT / ".peers"
# Ours runs where the runner runs; what it needs is installed there already.
_COMMON = ("psutil>=5.9,<8",)


class CannotInstallError(Exception):
    """pip could not make the environment; the text is its last line."""


def python_of(system: str) -> Path:
    """The interpreter of the system's environment, which is made if its requirements are new.

    Raises:
        CannotInstallError: pip failed.
    """
    if system == OURS:
        return Path(sys.executable)
    requirements = [*_COMMON, *adapter(system).requirements]  # fmt: skip
    folder = _FOLDER / system
    python, made = folder / "bin" / "python", folder / "made-of.txt"
    if made.exists() and made.read_text().splitlines() == requirements:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotInstallError(done.stderr.strip().splitlines()[-1])
    made.write_text("\n".join(requirements))
    return python
