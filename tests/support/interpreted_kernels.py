"""Runs the kernels of the GPU forms in Triton's interpreter, on a CPU, and ends with an error where they differ from PyTorch.

A program of its own: Triton decides when it is first imported whether it interprets.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"

import torch  # noqa: E402

from core.models.fused import kernel_check, kernels, passes  # noqa: E402
from core.models.inference import prepare_for_gpu  # noqa: E402
from tests.support.parity_networks import tiny, tiny_arguments  # noqa: E402


def main() -> None:
    torch.set_num_threads(1)
    for dtype in (torch.float32, torch.float16):
        obstacle = kernel_check.difference(kernels, torch.device("cpu"), dtype)
        assert obstacle is None, f"{dtype}: {obstacle}"
    for name in ("warp_network", "decoder"):
        arguments, plain = tiny_arguments(name, 2), tiny(name)
        with torch.no_grad():
            expected = plain(**arguments)
            with passes.using(kernels):
                found = prepare_for_gpu(plain)(**arguments)
        assert float((expected - found).abs().max()) < 5e-6 * max(1.0, float(expected.abs().max())), name


if __name__ == "__main__":
    main()
