"""Makes the Ditto engine from downloaded checkpoints, for the command line, the pages and the server.

Importing this imports neither torch nor the engine.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.errors import EngineUnavailable
from core.optimization.cold_start_optimization import EngineSource, FetchCallback
from core.optimization.gpu_optimization import cuda_devices
from core.settings import Settings
from manager.catalogue import DEFAULT_FORMAT
from manager.errors import DownloadError
from manager.progress import DownloadCallback, DownloadProgress
from manager.store import Store

if TYPE_CHECKING:
    from core.engines.base import Engine
    from core.engines.ditto import Detector, DittoEngine

Mode = Literal["auto", "on", "off"]
MODES: tuple[Mode, ...] = ("auto", "on", "off")


def make_ditto(
    settings: Settings,
    progress: DownloadCallback | None,
    cancel: threading.Event,
    *,
    device: str | None = None,
    detector: Detector = "mediapipe",
    data_root: Path | None = None,
    cfg_pkl: Path | None = None,
    format: str = DEFAULT_FORMAT,
    batch: int | None = None,
    backend: str = "auto",
    store: Store | None = None,
) -> DittoEngine:
    """The loaded engine; fetches the checkpoints where they are missing.

    device, detector, cfg_pkl, batch, backend: as `DittoEngine` takes them. data_root: a folder of checkpoints instead of the downloaded
    ones, with cfg_pkl.
    format: of the downloaded ones, "pytorch" or "onnx".
    Raises EngineUnavailable where it cannot run or the checkpoints cannot be had, Cancelled.
    """
    from core.optimization.gpu_optimization import place

    place(device)  # what cannot run is not downloaded for
    from core.engines.ditto import DittoEngine
    from manager.published_folder import published_checkpoints

    if data_root is not None and cfg_pkl is not None:
        checkpoints: Any = published_checkpoints(data_root, cfg_pkl)
    else:
        extras = ("insightface",) if detector == "insightface" else ()
        try:
            checkpoints = (store or Store()).ensure(format, progress, extras=extras, cancel=cancel)
        except DownloadError as error:
            hint = f"{error.hint} Or fetch them elsewhere: python model_manager.py download."
            raise EngineUnavailable(f"The ditto engine has no checkpoints: {error.message}", hint) from error
    return DittoEngine(
        checkpoints, device, detector=detector, cfg_pkl=cfg_pkl,
        max_store_bytes=settings.max_video_store_bytes, shared_batches=settings.shared_batches, batch=batch, backend=backend,
    )  # fmt: skip


def make_replicas(
    settings: Settings, progress: DownloadCallback | None, cancel: threading.Event, device: str | None, **more: Any
) -> Engine:
    """As `make_ditto`; several devices with commas are a replica on each, behind one engine."""
    from core.engines.replicas import ReplicatedEngine, devices_of

    engines = [make_ditto(settings, progress, cancel, device=each, **more) for each in devices_of(device)]
    return engines[0] if len(engines) == 1 else ReplicatedEngine(engines)


def offer_ditto(settings: Settings, mode: Mode) -> EngineSource | None:
    """How a page's or a server's studio gets Ditto; None where it is not offered.

    mode: "auto" offers it where NVIDIA's driver shows a GPU, "on" also on a CPU (minutes for a second of video), "off" not at all.
    """
    if mode == "off" or (mode == "auto" and cuda_devices() == 0):
        return None
    store = Store()

    def fetch(on_bytes: FetchCallback, cancel: threading.Event) -> None:
        from core.optimization.gpu_optimization import place

        def tell(progress: DownloadProgress) -> None:
            if progress.bytes_total:
                on_bytes(progress.bytes_done, progress.bytes_total)

        place()  # what cannot run is not downloaded for
        store.ensure(DEFAULT_FORMAT, tell, cancel=cancel)

    def make() -> Engine:
        return make_ditto(settings, None, threading.Event(), store=store)

    return EngineSource(make, fetch, lambda: missing_bytes(store))


def missing_bytes(store: Store) -> int:
    """Bytes that would have to be fetched, as far as sizes are known (1 where they are not); fetches and hashes nothing."""
    files = [status for status in store.status(DEFAULT_FORMAT) if not status.file.extra]
    missing = [status for status in files if status.state not in ("present", "cached")]
    arrived = sum(status.size_bytes for status in missing if status.state == "partial")
    return max(sum(status.file.size_bytes or 0 for status in missing) - arrived, 1) if missing else 0
