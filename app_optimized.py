#!/usr/bin/env python3
"""The full page: also avatars that make the second video instant, past videos, status, and the whole Gradio API.

The same page as app.py with more parts on; options and exit codes are the same.
"""

from __future__ import annotations

import sys

import app


def main(argv: list[str] | None = None) -> int:
    return app.main(argv, everything=True, name="app_optimized.py")


if __name__ == "__main__":
    sys.exit(main())
