"""Builds TensorRT engines of Ditto's networks for this machine's GPU, from published or exported ONNX files.

python scripts/cvt_onnx_to_trt.py --onnx_dir checkpoints/ditto_onnx --trt_dir checkpoints/ditto_trt_custom

Engines that are there already stay. A file's name tells its GPU, driver, TensorRT and graph, so that one folder serves several machines; a
file appears when it is whole and its results agree with ONNX Runtime's. Exit code 0; 2 for bad arguments, 1 for anything else, 130 after
Ctrl-C.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.command_line import OneLineParser, end_like_ctrl_c, exit_code  # noqa: E402  # the project is found by its folder
from core.errors import EngineUnavailable  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    parser = OneLineParser(prog="cvt_onnx_to_trt.py", description="Builds TensorRT engines of Ditto's networks from ONNX files.")
    parser.add_argument("--onnx_dir", type=Path, required=True, help="folder with the ONNX files, published or exported")
    parser.add_argument("--trt_dir", type=Path, required=True, help="folder for the engines, best beside --onnx_dir; made if it is missing")
    options = parser.parse_args(argv)
    end_like_ctrl_c()

    def run() -> None:
        try:
            from core.models.trt.build import build_engines, device_for_building
            from core.models.trt.files import folders_of
        except ImportError as error:
            hint = "Install requirements-gpu.txt and requirements-tensorrt.txt."
            raise EngineUnavailable(f"{error.name} is not installed.", hint) from error

        def tell(line: str) -> None:
            print(line, file=sys.stderr, flush=True)

        made = build_engines(options.onnx_dir, options.trt_dir, device_for_building(), tell)
        print("\n".join(str(path) for path in made))
        if options.trt_dir.resolve() not in folders_of(options.onnx_dir.resolve() / "decoder.onnx"):
            told = "Engines are looked for in the folder of the ONNX files and in those beside it: move them there to use them."
            print(told, file=sys.stderr)

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
