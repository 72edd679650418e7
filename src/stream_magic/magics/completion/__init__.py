"""Tab in `%%stream` and `%%cq` cells and on `%stream` lines: names, columns, options, keywords."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stream_magic.magics.completion.line import complete_line
from stream_magic.magics.completion.statement import complete_statement
from stream_magic.magics.completion.suggestions import Suggestions

if TYPE_CHECKING:
    from stream_magic.magics.notebook import Notebook

_MAGICS = ("%%stream", "%%cq")


def matcher_of(notebook: Notebook) -> Callable[[Any], Any]:
    """A matcher for IPython's completer (version 2 of its interface). Never raises."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier="stream_magic", priority=200)  # type: ignore[untyped-decorator]
    def stream_magic_matcher(context: Any) -> Any:
        try:
            found = complete(
                notebook, context.full_text, context.cursor_line, context.cursor_position
            )
        except Exception:  # noqa: BLE001  # Tab must never show a traceback
            found = None
        if found is None or not found.items:
            return {"completions": [], "suppress": False}
        completions = [SimpleCompletion(text=i.text, type=i.kind) for i in found.items]
        return {
            "completions": completions,
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    return stream_magic_matcher  # type: ignore[no-any-return]


def complete(notebook: Notebook, text: str, line: int, column: int) -> Suggestions | None:
    """What may stand at the cursor; None where the text is not ours."""
    lines = text.split("\n")
    before_line = lines[line][:column]
    first = next((i for i, t in enumerate(lines) if t.strip()), 0)
    magic = next((m for m in _MAGICS if _is_magic(lines[first], m)), None)
    if magic is not None and line > first:
        before = "\n".join([*lines[first + 1 : line], before_line])
        after = "\n".join([lines[line][column:], *lines[line + 1 :]])
        return complete_statement(
            notebook.known_app(), before, after, is_query=magic == "%%cq"
        ).best()
    if magic is not None and line == first:
        return complete_line(notebook, magic, before_line.lstrip(), "\n".join(lines[first + 1 :]))
    if before_line.lstrip().startswith("%stream "):
        return complete_line(notebook, "%stream", before_line.lstrip(), "")
    return None


def _is_magic(line: str, magic: str) -> bool:
    words = line.split()
    return bool(words) and words[0] == magic
