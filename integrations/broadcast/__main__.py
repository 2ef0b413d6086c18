"""`python -m integrations.broadcast`."""

from __future__ import annotations

import sys

from core.command_line import end_like_ctrl_c
from integrations.broadcast.command import main

if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
