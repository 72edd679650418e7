"""Takes known secrets out of texts that come from drivers and servers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from stream_magic.security.secrets import Secret

_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*:)[^\s/@]+(@)")


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """`text` with every secret, and every password in a URL, replaced by `***`."""
    for secret in secrets:
        if value := secret.reveal():
            text = text.replace(value, "***")
    return _URL_PASSWORD.sub(r"\1***\2", text)
