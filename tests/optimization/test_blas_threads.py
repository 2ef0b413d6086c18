"""Tests that numpy's matrix products stay on one thread once the lite engine is there."""

from __future__ import annotations

import subprocess
import sys


def test_numpy_computes_on_one_thread_once_the_lite_engine_is_loaded() -> None:
    script = """
import numpy, threadpoolctl
before = {pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
from core.engines.lite import LiteEngine
LiteEngine()
own = [pool for pool in threadpoolctl.threadpool_info() if pool["filepath"] in before and pool["user_api"] == "blas"]
assert len(own) == 1 and own[0]["num_threads"] == 1, own
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env={"OPENBLAS_NUM_THREADS": "2"})
    assert done.returncode == 0, done.stderr
