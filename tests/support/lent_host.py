"""What the tests see of a simulated ZeroGPU host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.engines.ditto import DittoRegistered
from core.engines.ditto_zero_gpu import ZeroGpuDitto, ZeroGpuSession
from core.options import read_options
from tests.support.ditto_sessions import QUICK


class Host:
    """The simulated host: its engine, and what calls it saw."""

    def __init__(self, engine: ZeroGpuDitto, log: Path) -> None:
        self.engine, self._log = engine, log

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def session(self, registered: DittoRegistered, **values: Any) -> ZeroGpuSession:
        options = read_options({**QUICK, **values})
        return self.engine.session(registered, options.controls, options.render)
