"""What a file target has written, in one small file that is replaced by an atomic rename."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stream_magic.core.epoch import Mark
from stream_magic.errors import ConnectorError


@dataclass
class Manifest:
    """The state of a target's files.

    Attributes:
        state_id: of the mark.
        last_epoch: of the mark; None before the first.
        file: name of the file that is being filled, or None.
        length: its bytes that belong to the mark.
        rows: its rows that belong to the mark.
        opened_us: when it was begun, by the app's clock.
        tentative: files begun after the mark: ours, and to be deleted if the mark did not move.
    """

    state_id: str
    last_epoch: int | None = None
    file: str | None = None
    length: int = 0
    rows: int = 0
    opened_us: int = 0
    tentative: list[str] = field(default_factory=list)

    @property
    def mark(self) -> Mark | None:
        return None if self.last_epoch is None else Mark(self.state_id, self.last_epoch)

    @classmethod
    def load(cls, path: Path) -> Manifest | None:
        """The manifest at `path`, or None if there is none."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as e:
            raise ConnectorError(
                "SM4110",
                f"the manifest {path} cannot be read: {e}",
                hint="it tells what was written; delete it to start with new files",
            ) from None

    def save(self, path: Path) -> None:
        """Replaces the manifest, durably."""
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb") as f:
            f.write(json.dumps(asdict(self)).encode())
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes names in a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
