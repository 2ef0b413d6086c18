"""An app of somebody else that loads ours with `gr.load`, as one loads a Space: loading_app.py ADDRESS --host HOST --port PORT.

Names below hf.space, the only ones whose files Gradio passes on, lead to this machine.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from typing import Any

SPACES = ".hf.space"


def lead_here() -> None:
    look_up = socket.getaddrinfo

    def found(host: Any, *others: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        return look_up("127.0.0.1" if name.endswith(SPACES) else host, *others, **options)

    socket.getaddrinfo = found  # type: ignore[assignment]
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # where it is installed it looks names up by itself


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    lead_here()

    import gradio as gr
    from gradio.external import from_spaces_blocks

    loaded = gr.load(arguments.address, src=from_spaces_blocks)  # with a Space's name Gradio asks the Hub for the address first
    loaded.launch(server_name=arguments.host, server_port=arguments.port, prevent_thread_lock=True, quiet=True)
    sys.stdout.write("The page that loads another is ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
