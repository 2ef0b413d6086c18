"""Keeps numpy's matrix products on the thread that asks for them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

logger = logging.getLogger(__name__)


def use_one_blas_thread() -> None:
    """From now on, in this process, the BLAS library that comes with numpy starts no threads. Others, torch's among them, keep theirs.

    The products here are small: OpenBLAS would share them out and then keep the other core busy for some 25 ms waiting for more.
    Measured on two cores: a render of 1080 pixels takes two thirds of the time (`benchmarks/fairness.py`, "alone").
    """
    package = Path(np.__file__).resolve().parent
    own = (package, package.parent / "numpy.libs")
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        if any(folder in Path(library.filepath).resolve().parents for folder in own):
            library.set_num_threads(1)
            return
    logger.info("numpy's matrix products may use several threads: its BLAS library was not found beside it")
