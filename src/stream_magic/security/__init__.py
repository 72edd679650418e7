"""What must not be shown, and who may do what."""

from __future__ import annotations
