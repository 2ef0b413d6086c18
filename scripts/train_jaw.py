"""Trains core/lite/jaw.safetensors: a few very small networks from speech features to lip aperture, their mean is used.

usage: python scripts/train_jaw.py [--utterances 360] [--networks 5] [--epochs 9] [--seed 5] [--out FILE]

Small, briefly trained on clean speech and averaged: measured on real people's lips, the opening they learn from synthetic voices carries
over better than that of the large network, whose sharper heads decide about closed lips (core/lite/mouth.py).
Needs torch, soundfile and flite; takes a few minutes on two cores. Hears 0.1 s back and 0.1 s ahead.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones
from core.lite.mouth_features import N_FEATURES, SpeechFeatures
from scripts import speech_corpus, speech_texts

WIDTH, TAPS = 64, (9, 9, 5)
"""Three convolutions over features of 10 ms."""
CROP, BATCH = 300, 32
Example = tuple[np.ndarray, np.ndarray]


def corpus(seed: int, utterances: int) -> list[Example]:
    """Features (n, 42) and targets (n, 5), aperture first, of clean flite sentences."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(utterances):
        voice = str(rng.choice(speech_texts.FLITE_VOICES))
        tempo, pitch = float(rng.uniform(0.8, 1.2)), float(np.exp(rng.normal(0, 0.1)))
        spoken = speech_corpus.flite(speech_texts.sentence(rng), voice, tempo, pitch)
        x = SpeechFeatures().push(np.pad(spoken.samples, (0, 400)).astype(np.float32))
        t = np.arange(len(x)) * 0.01
        y = np.concatenate((phones.curves(spoken.segments, t), phones.contacts(spoken.segments, t)), 1)
        short = max(0, CROP + 1 - len(x))
        out.append(tuple(np.pad(a, ((0, short), (0, 0))).astype(np.float32) for a in (x, y)))
    return out


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    sizes = (N_FEATURES, WIDTH, WIDTH, 5)  # aperture; spread, tuck, touch and silence help the training only
    for k, taps in enumerate(TAPS):
        layers.append(nn.Conv1d(sizes[k], sizes[k + 1], taps, padding=taps // 2))
        if k < 2:
            layers += [nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers)


def train(data: list[Example], epochs: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.01)
    steps = sum(max(1, len(x) // CROP) for x, _ in data) // BATCH + 1
    for _ in range(epochs * steps):
        pieces = []
        for _ in range(BATCH):
            x, y = data[rng.integers(len(data))]
            start = rng.integers(len(x) - CROP)
            pieces.append((x[start : start + CROP], y[start : start + CROP]))
        x, y = (torch.from_numpy(np.stack(part)) for part in zip(*pieces, strict=True))
        made = net(x.transpose(1, 2)).transpose(1, 2)
        fit = (made[..., :3] - y[..., :3]).square().mean()
        loss = 8 * fit + nn.functional.binary_cross_entropy_with_logits(made[..., 3:], y[..., 3:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def export(nets: list[nn.Sequential], path: Path) -> None:
    """Per layer (networks, taps x in, out) float16 and its bias, oldest tap first; of the last layer the aperture only."""
    tensors = {}
    for k in range(3):
        convs = [[layer for layer in net if isinstance(layer, nn.Conv1d)][k] for net in nets]
        outs = slice(0, 1) if k == 2 else slice(None)
        tensors[f"{k}.w"] = np.stack([c.weight.detach().permute(2, 1, 0).reshape(-1, c.out_channels)[:, outs].numpy() for c in convs])
        tensors[f"{k}.b"] = np.stack([c.bias.detach()[outs].numpy() for c in convs])
    save_file({name: np.ascontiguousarray(tensor.astype(np.float16)) for name, tensor in tensors.items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=360)
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "core/lite/jaw.safetensors")
    o = parser.parse_args()
    torch.set_num_threads(1)  # the weights then do not depend on the number of cores
    data = corpus(o.seed, o.utterances)
    print(f"{sum(len(x) for x, _ in data) / 6000:.0f} minutes of speech", flush=True)
    export([train(data, o.epochs, seed) for seed in range(o.networks)], o.out)


if __name__ == "__main__":
    main()
