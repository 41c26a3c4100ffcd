"""`python -m cas` is the `cas` tool."""

from __future__ import annotations

import sys

from cas.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
