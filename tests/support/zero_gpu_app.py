"""app_optimized.py on a simulated ZeroGPU host without a GPU: small networks, which the calls run on the CPU. FOLDER holds checkpoints:

    python zero_gpu_app.py FOLDER [ARGUMENT ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    folder = Path(sys.argv[1])
    sys.path.insert(0, str(ROOT))
    import app
    from core.web import zero_gpu

    def near(*arguments: object, **options: object) -> object:
        import torch

        from core.engines import ditto, ditto_networks
        from tests.support.synthetic_checkpoints import TINY, checkpoints

        torch.set_num_threads(1)
        ditto_networks.SIZES = TINY
        return ditto.DittoEngine(checkpoints(folder), "cpu")

    app.make_ditto = near
    zero_gpu.DEVICE = "cpu"
    return app.main(sys.argv[2:], everything=True, name="app_optimized.py")


if __name__ == "__main__":
    sys.exit(main())
