"""`python -m stream_magic`."""

from __future__ import annotations

import sys

from stream_magic.cli.main import main

sys.exit(main())
