"""What Gradio's page has in itself: the components, layout and functions of one page."""

from __future__ import annotations

import json
import re
from typing import Any


def page_config(page: str) -> dict[str, Any]:
    """page: its HTML."""
    found = re.search(r"window.gradio_config = (.*?);\s*</script>", page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))
