"""Streaming integration in a Jupyter notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_magic.app.app import App
    from stream_magic.app.functions import udf
    from stream_magic.errors import StreamMagicError

__all__ = [
    "App", "StreamMagicError", "load_ipython_extension", "udf", "unload_ipython_extension"
]  # fmt: skip
__version__ = "0.1.0"


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext stream_magic`: makes `%%stream`, `%%cq` and `%stream` known."""
    from stream_magic.magics import register

    register(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext stream_magic`: stops the apps of this kernel."""
    from stream_magic.magics import unregister

    unregister(shell)


def __getattr__(name: str) -> Any:
    if name == "App":
        from stream_magic.app.app import App

        return App
    if name == "udf":
        from stream_magic.app.functions import udf

        return udf
    if name == "StreamMagicError":
        from stream_magic.errors import StreamMagicError

        return StreamMagicError
    raise AttributeError(f"module 'stream_magic' has no attribute '{name}'")
