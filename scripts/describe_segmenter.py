"""Writes how its input is scaled into MediaPipe's model of people, as MediaPipe's segmenter asks for it: assets/selfie_segmentation.tflite.

python scripts/describe_segmenter.py selfie_segmentation.tflite assets/selfie_segmentation.tflite

The first is the file of that name in the npm package @mediapipe/selfie_segmentation.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

NEEDED_PARSER = "1.0.0"
"""Of MediaPipe's metadata; the wheels lack the module that would compute it."""


def described(model: bytes) -> bytes:
    """The model with its metadata: colours are divided by 255."""
    name = "mediapipe.tasks.cc.metadata.python"
    missing = types.ModuleType(name)
    missing._pywrap_metadata_version = types.SimpleNamespace(GetMinimumMetadataParserVersion=lambda data: NEEDED_PARSER)  # type: ignore[attr-defined]
    parts = name.split(".")
    for n in range(3, len(parts)):
        sys.modules[".".join(parts[:n])] = types.ModuleType(".".join(parts[:n]))
    sys.modules[name] = missing
    from mediapipe.tasks.python.metadata.metadata_writers import metadata_writer

    writer = metadata_writer.MetadataWriter(bytearray(model))
    writer.add_general_info("selfie_segmentation", "Person in a picture; from the npm package @mediapipe/selfie_segmentation")
    writer.add_image_input([0.0], [255.0])
    writer.add_segmentation_output(labels=None)
    return bytes(writer.populate()[0])


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(described(source.read_bytes()))
