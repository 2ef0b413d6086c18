"""Checks a request against an engine that is not loaded, so that it is answered before anything is fetched or computed for it.

Imports neither torch nor an engine.
"""

from __future__ import annotations

from core.engines import ditto_options
from core.engines.base import check_request
from core.engines.capabilities import CAPABILITIES
from core.types import Avatar, Controls, Framing, RenderOptions, Source


def verify_request(engine: str, source: Source | Avatar, framing: Framing, controls: Controls, options: RenderOptions) -> None:
    """Raises InputError for what `engine` ("lite" or "ditto") refuses whatever its configuration; `Engine.verify` then knows that too."""
    check_request(engine, CAPABILITIES[engine], source, framing, controls, options)
    if engine == "ditto":
        ditto_options.source_options(framing)
        ditto_options.session_options(controls, options)
