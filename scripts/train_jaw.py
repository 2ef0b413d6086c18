"""Trains core/lite/jaw.safetensors: very small networks from speech features to lip opening, whose mean is used.

usage: python scripts/train_jaw.py [--clean 720] [--varied 1000] [--networks 7] [--steps 300] [--seed 6] [--varied-seed 21] [--out FILE]

Small, briefly trained and averaged: measured on real people's lips, the opening they learn from synthetic voices carries over better
than that of the large network, whose sharper heads decide about closed lips (core/lite/mouth.py). Half of what they hear is clean flite
speech, half the large network's corpus of many voices, languages, rooms and noises: either alone did less well on real lips or on
held-back voices (core/lite/MOUTH_MODEL_CARD.md).
Needs what train_mouth.py needs; takes some ten minutes on two cores. Hears 0.1 s back and 0.1 s ahead.
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
from scripts import speech_corpus, speech_texts, train_mouth

WIDTH, TAPS = 64, (9, 9, 5)
"""Three convolutions over features of 10 ms."""
CROP, BATCH = 300, 32
Example = tuple[np.ndarray, np.ndarray]


def example(x: np.ndarray, y: np.ndarray) -> Example:
    """float32, and at least CROP + 1 long."""
    short = max(0, CROP + 1 - len(x))
    padded = [np.pad(a, ((0, short), (0, 0))).astype(np.float32) for a in (x, y)]
    return padded[0], padded[1]


def clean(seed: int, utterances: int) -> list[Example]:
    """Features (n, 42) and targets (n, 5), aperture first, of clean flite sentences."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(utterances):
        voice = str(rng.choice(speech_texts.FLITE_VOICES))
        tempo, pitch = float(rng.uniform(0.8, 1.2)), float(np.exp(rng.normal(0, 0.1)))
        spoken = speech_corpus.flite(speech_texts.sentence(rng), voice, tempo, pitch)
        x = SpeechFeatures().push(np.pad(spoken.samples, (0, 400)).astype(np.float32))
        t = np.arange(len(x)) * 0.01
        out.append(example(x, np.concatenate((phones.curves(spoken.segments, t), phones.contacts(spoken.segments, t)), 1)))
    return out


def varied(seed: int, utterances: int) -> list[Example]:
    """The same of train_mouth.py's speech: many voices and languages, rooms, noises, codecs, and clips without speech."""
    return [example(x, y) for x, y, _ in train_mouth.corpus(seed, utterances, versions=1, processes=2)]


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    sizes = (N_FEATURES, WIDTH, WIDTH, 5)  # aperture; spread, tuck, touch and silence help the training only
    for k, taps in enumerate(TAPS):
        layers.append(nn.Conv1d(sizes[k], sizes[k + 1], taps, padding=taps // 2))
        if k < 2:
            layers += [nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers)


def train(halves: tuple[list[Example], list[Example]], steps: int, seed: int) -> nn.Sequential:
    """Every second piece comes from either half, whatever their sizes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.01)
    data = [one for half in halves for one in half]
    chance = np.concatenate([np.full(len(half), 0.5 / len(half)) for half in halves])
    upto = np.cumsum(chance) / np.sum(chance)
    for _ in range(steps):
        pieces = []
        for _ in range(BATCH):
            x, y = data[int(np.searchsorted(upto, rng.random()))]
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
    parser.add_argument("--clean", type=int, default=720, help="sentences")
    parser.add_argument("--varied", type=int, default=1000, help="utterances")
    parser.add_argument("--networks", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=6, help="of the clean sentences; the networks count their own from 0")
    parser.add_argument("--varied-seed", type=int, default=21)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "core/lite/jaw.safetensors")
    o = parser.parse_args()
    torch.set_num_threads(1)  # the weights then do not depend on the number of cores
    halves = clean(o.seed, o.clean), varied(o.varied_seed, o.varied)
    print(" and ".join(f"{sum(len(x) for x, _ in half) / 6000:.0f} minutes" for half in halves), "of speech", flush=True)
    export([train(halves, o.steps, seed) for seed in range(o.networks)], o.out)


if __name__ == "__main__":
    main()
