"""Trains core/lite/jaw.safetensors: very small networks from speech features to lip opening, whose mean is used.

usage: python scripts/train_jaw.py [--clean 720] [--varied 1000] [--networks 7] [--steps 300] [--seed 6] [--varied-seed 21] [--keep FILE]
                                   [--out FILE]

Small, briefly trained and averaged: measured on real people's lips, the opening they learn from synthetic voices carries over better
than that of the large network, whose sharper heads decide about closed lips (core/lite/mouth.py). Half of what they hear is clean flite
speech, half the large network's corpus of many voices, languages, rooms and noises: either alone did less well on real lips or on
held-back voices (core/lite/MOUTH_MODEL_CARD.md).
Their last layer is then fitted anew, in closed form, to the opening as if there were no pauses: pauses are for what is heard to be silence.
It hears the speech that train_whole_mouth.py makes. --keep takes the first two layers from FILE instead of training them: a minute or two.
Needs what train_mouth.py needs; takes some ten minutes on two cores. Hears 0.1 s back and 0.1 s ahead.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones
from core.lite.mouth_features import N_FEATURES, SpeechFeatures
from scripts import speech_corpus, speech_texts, train_mouth, train_whole_mouth
from scripts.speech_corpus import Utterance

WIDTH, TAPS = 64, (9, 9, 5)
"""Three convolutions over features of 10 ms."""
CROP, BATCH = 300, 32
PENALTY = 10.0
"""Of the ridge, on the last layer's weights; between 10 and 1,000 it hardly matters."""
EVERY = 5
"""Of the rows that the last layer is fitted to every fifth is taken: neighbours tell the same."""
FITTED_SEED, FITTED_UTTERANCES = 5, 520
"""The speech that the last layer is fitted to: `train_whole_mouth.speech`, 36 minutes."""
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


def convolutions(net: nn.Sequential) -> list[nn.Conv1d]:
    return [layer for layer in net if isinstance(layer, nn.Conv1d)]


def kept(path: Path) -> list[nn.Sequential]:
    """Networks with the first two layers of a file that `export` wrote."""
    tensors = {name: torch.from_numpy(tensor.astype(np.float32)) for name, tensor in load_file(path).items()}
    nets = []
    for which in range(len(tensors["0.w"])):
        nets.append(network().eval())
        for k, conv in enumerate(convolutions(nets[-1])[:2]):
            w = tensors[f"{k}.w"][which].reshape(TAPS[k], conv.in_channels, conv.out_channels)
            conv.weight.data, conv.bias.data = w.permute(2, 1, 0).contiguous(), tensors[f"{k}.b"][which]
    return nets


@torch.no_grad()
def open_in_pauses(nets: list[nn.Sequential], speech: list[Utterance]) -> None:
    """Fits the aperture of each one's last layer to that as if there were no pauses, by ridge regression. Openings that are 0 in pauses
    fall also where a real speaker is only soft; those that do not fall for bilabials either say less of real lips.
    """
    for net in nets:
        for conv in convolutions(net)[:2]:  # as they are shipped
            conv.weight.data, conv.bias.data = conv.weight.half().float(), conv.bias.half().float()
    seen, to = list[list[np.ndarray]]([[] for _ in nets]), list[np.ndarray]()
    for said in speech:
        x = SpeechFeatures().push(np.pad(said.samples, (0, 400)).astype(np.float32))
        shapes = phones.shapes(said.segments, np.arange(len(x)) * 0.01)
        to.append((shapes.aperture * shapes.apart)[::EVERY])
        for net, rows in zip(nets, seen, strict=True):
            hidden = net[:-1](torch.from_numpy(x.T[None].copy()))
            taps = nn.functional.unfold(hidden[:, :, None], (1, TAPS[2]), padding=(0, TAPS[2] // 2))[0]
            rows.append(taps.T[::EVERY].numpy().copy())
    y = np.concatenate(to)
    print(f"the last layers: {len(y) * EVERY / 6000:.0f} minutes of speech", flush=True)
    for net, rows in zip(nets, seen, strict=True):
        z, last = np.concatenate(rows), convolutions(net)[2]
        mean = z.mean(0)
        z -= mean
        w = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ (y - y.mean()))
        last.weight[0] = torch.from_numpy(w.reshape(last.in_channels, TAPS[2]))
        last.bias[0] = float(y.mean() - mean @ w)


def export(nets: list[nn.Sequential], path: Path) -> None:
    """Per layer (networks, taps x in, out) float16 and its bias, oldest tap first; of the last layer the aperture only."""
    tensors = {}
    for k in range(3):
        convs = [convolutions(net)[k] for net in nets]
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
    parser.add_argument("--keep", type=Path, help="made by this script: its first two layers are not trained, but taken")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "core/lite/jaw.safetensors")
    o = parser.parse_args()
    torch.set_num_threads(1)  # the weights then do not depend on the number of cores
    if o.keep:
        nets = kept(o.keep)
    else:
        halves = clean(o.seed, o.clean), varied(o.varied_seed, o.varied)
        print(" and ".join(f"{sum(len(x) for x, _ in half) / 6000:.0f} minutes" for half in halves), "of speech", flush=True)
        nets = [train(halves, o.steps, seed) for seed in range(o.networks)]
    open_in_pauses(nets, train_whole_mouth.speech(FITTED_SEED, FITTED_UTTERANCES))
    export(nets, o.out)


if __name__ == "__main__":
    main()
