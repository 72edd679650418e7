"""Which Python codec reads a MySQL character set."""

from __future__ import annotations

import codecs
from collections.abc import Callable

BINARY = "binary"
UTF8 = frozenset({"utf8", "utf8mb3", "utf8mb4", "ascii"})

_CODECS = {
    "ucs2": "utf_16_be", "utf16": "utf_16_be", "utf16le": "utf_16_le", "utf32": "utf_32_be",
    "latin2": "iso8859_2", "latin5": "iso8859_9", "latin7": "iso8859_13", "greek": "iso8859_7",
    "hebrew": "iso8859_8", "cp850": "cp850", "cp852": "cp852", "cp866": "cp866",
    "cp932": "cp932", "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256",
    "cp1257": "cp1257", "koi8r": "koi8_r", "koi8u": "koi8_u", "macce": "mac_latin2",
    "macroman": "mac_roman", "tis620": "tis_620", "big5": "big5", "gb2312": "gb2312",
    "gbk": "gbk", "gb18030": "gb18030", "sjis": "shift_jis", "ujis": "euc_jp",
    "eucjpms": "euc_jp", "euckr": "euc_kr",
}  # fmt: skip


def _latin1() -> str:
    """MySQL's latin1 is Windows-1252 with the five holes filled by control characters."""
    table = bytes(range(256)).decode("cp1252", errors="replace")
    return "".join(chr(i) if c == "\ufffd" else c for i, c in enumerate(table))


_LATIN1 = _latin1()


def decoder(charset: str) -> Callable[[bytes], str] | None:
    """A function from bytes to text that raises UnicodeError; None if no codec is known."""
    if charset in UTF8:
        return lambda data: data.decode("utf-8")
    if charset == "latin1":
        return lambda data: codecs.charmap_decode(data, "strict", _LATIN1)[0]
    name = _CODECS.get(charset)
    return None if name is None else lambda data: data.decode(name)
