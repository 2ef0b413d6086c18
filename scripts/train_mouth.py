"""Trains core/lite/mouth.safetensors on speech that flite and espeak-ng synthesise.

usage: python scripts/train_mouth.py [--utterances 3000] [--versions 2] [--epochs 8] [--seed 7] [--cache FOLDER] [--out FILE]

Needs torch, soundfile, soxr, ffmpeg, flite and espeak-ng; two cores take about twenty minutes. The same seed and versions of the tools
give the same corpus; the weights then agree up to the rounding of threaded sums.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import struct
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones
from core.lite.mouth_features import N_BANDS, N_FEATURES, SpeechFeatures
from scripts import speech_augment, speech_corpus, speech_texts

Example = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Features (n, 42) float16, targets (n, 5) float16, classes (n,) int8, all at 100 Hz."""
WIDTH = 128
BLOCKS = ((1, 1), (1, 1), (2, 2), (1, 1), (4, 0), (8, 0), (16, 0))
"""(dilation, steps of look-ahead) of each residual block; the look-ahead adds up to 5 steps of 20 ms."""
STRIDE = 2
"""Features of 10 ms a step: step m, at m x 20 ms, takes in features 2 m - 1 and 2 m."""
HEADS = 5
"""aperture, spread, tuck, lips touching, silence."""
CROP = 200
"""Steps of a training example: 4 s."""


# --- corpus -----------------------------------------------------------------------------------------------------------------------


def speak(rng: np.random.Generator, espeak: speech_corpus.Espeak) -> speech_corpus.Utterance:
    """One utterance of a random voice, language and manner."""
    kind = rng.random()
    if kind < 0.5:
        voice = str(rng.choice(speech_texts.FLITE_VOICES))
        return speech_corpus.flite(speech_texts.sentence(rng), voice, float(rng.uniform(0.7, 1.4)), float(np.exp(rng.normal(0, 0.18))))
    variant = str(rng.choice(speech_texts.VARIANTS)) if rng.random() < 0.85 else ""
    if kind < 0.75:
        language, text = str(rng.choice(speech_texts.ENGLISH)), speech_texts.sentence(rng)
    else:
        language = str(rng.choice(speech_texts.LANGUAGES))
        text = speech_texts.pseudo(language, rng, int(rng.integers(4, 10)))
    voice = f"{language}+{variant}" if variant else language
    return espeak.say(text, voice, int(rng.uniform(110, 230)), int(rng.uniform(15, 85)), int(rng.uniform(10, 90)))


def examples(job: tuple[int, int, int, int]) -> list[Example]:
    """job: seed, index, utterances, versions. Every version of each utterance, and some silence."""
    seed, index, count, versions = job
    rng = np.random.default_rng((seed, index))
    espeak = speech_corpus.Espeak()
    spoken = [speak(rng, espeak) for _ in range(count)]
    others = [u.samples for u in spoken]
    out = []
    for one in spoken:
        made = [speech_augment.augment(one, rng, others) for _ in range(versions)]
        if rng.random() < 0.4:
            made.append(speech_augment.silence(rng, others))
        for u in made:
            x = SpeechFeatures().push(np.pad(u.samples, (0, 400)))
            t = np.arange(len(x)) * 0.01  # targets at every feature, so that a training example may start at any
            y = np.concatenate((phones.curves(u.segments, t), phones.contacts(u.segments, t)), 1)
            out.append((x.astype(np.float16), y.astype(np.float16), phones.classes(u.segments, t).astype(np.int8)))
    return out


def corpus(seed: int, utterances: int, versions: int, processes: int) -> list[Example]:
    jobs = [(seed, k, 25, versions) for k in range(max(utterances // 25, 1))]
    # One process a job: espeak-ng keeps global state, and a fresh one makes a job's result independent of the order.
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=8) as pool:
        return [example for made in pool.imap(examples, jobs) for example in made]


# --- network ----------------------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, width: int, dilation: int, ahead: int) -> None:
        super().__init__()
        self.pad = (2 * dilation - ahead, ahead)
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, dilation=dilation)
        self.mix = nn.Linear(width, width)
        self.drop = nn.Dropout(0.05)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (batch, frames, width)."""
        h = self.conv(functional.pad(self.norm(x).transpose(1, 2), self.pad)).transpose(1, 2)
        return x + self.mix(self.drop(functional.relu(h)))


class MouthNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(STRIDE * N_FEATURES, WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH, d, a) for d, a in BLOCKS)
        self.norm = nn.LayerNorm(WIDTH)
        self.heads = nn.Linear(WIDTH, HEADS)
        self.phones = nn.Linear(WIDTH, len(phones.GROUPS))  # helps the training only

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: (batch, 2 x steps, features), the first row the feature before step 0's own."""
        h = self.enter(x.reshape(len(x), -1, STRIDE * N_FEATURES))
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        return self.heads(h), self.phones(h)


def warp(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Bends the mel axis, colours, blanks a few bands, differently for each example. x: (batch, frames, features)."""
    batch = len(x)

    def normal(scale: float, *shape: int) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=generator).clamp(-2.5, 2.5)

    bands, rest = x[..., :N_BANDS], x[..., N_BANDS:]
    band = torch.arange(N_BANDS)[None]
    # Another vocal tract: all formants move together, and each a little on its own.
    where = band * (1 + normal(0.06, batch, 1))
    for waves in (1, 2):
        where = where + normal(0.7 / waves, batch, 1) * torch.sin(torch.pi * waves * band / N_BANDS + normal(1.5, batch, 1))
    where = where.clamp(0, N_BANDS - 1.001)
    low = where.long()
    part = (where - low)[:, None]
    index = low[:, None].expand(-1, x.shape[1], -1)
    bands = bands.gather(2, index) * (1 - part) + bands.gather(2, index + 1) * part
    tilt = normal(0.15, batch, 1) * (band / N_BANDS * 2 - 1) + normal(0.12, batch, 1) * torch.cos(torch.pi * 3 * band / N_BANDS)
    bands = bands + tilt[:, None] + normal(0.06, *bands.shape)
    start = torch.randint(0, N_BANDS, (batch, 1), generator=generator)
    size = torch.randint(0, 9, (batch, 1), generator=generator) * (torch.rand(batch, 1, generator=generator) < 0.4)
    hide = ((band >= start) & (band < start + size))[:, None]
    return torch.cat((bands.masked_fill(hide, 0.0), rest), 2)


def cut(example: Example, start: int, pace: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """About CROP steps from feature `start` on, spoken at `pace` (above 1: faster). ((2 n, 42), (n, 5), (n,)), n at most CROP."""
    x, y, c = example
    n = min(CROP, int((len(x) - 2 - start) / (STRIDE * pace)))
    at = start + pace * np.arange(-1, STRIDE * n - 1)
    low = np.maximum(at.astype(int), 0)
    part = (at - low).clip(0)[:, None].astype(np.float32)
    features = x[low] * (1 - part) + x[low + 1] * part
    if start == 0:
        features[0] = 0.0  # as the stream begins
    steps = np.rint(at[1::STRIDE]).astype(int)
    return features, y[steps], c[steps]


def loss_of(heads: torch.Tensor, classes: torch.Tensor, y: torch.Tensor, c: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    scale = torch.tensor([4.0, 1.5, 2.0])
    fit = (functional.smooth_l1_loss(heads[..., :3], y[..., :3], reduction="none", beta=0.2) * scale).sum(2)
    touch = functional.binary_cross_entropy_with_logits(heads[..., 3:], y[..., 3:], reduction="none").sum(2)
    name = functional.cross_entropy(classes.transpose(1, 2), c, reduction="none", label_smoothing=0.05)
    return ((fit + 0.5 * touch + 0.15 * name) * valid).sum() / valid.sum()


def train(data: list[Example], epochs: int, seed: int, batch: int = 32) -> MouthNet:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = MouthNet()
    crops = [(k, s) for k, (x, _, _) in enumerate(data) for s in range(0, max(len(x) - CROP, 1), STRIDE * CROP)]
    steps = epochs * (len(crops) // batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    for epoch in range(epochs):
        began, sums = time.time(), 0.0
        order = rng.permutation(len(crops))
        for b in range(len(crops) // batch):
            x, y = torch.zeros(batch, STRIDE * CROP, N_FEATURES), torch.zeros(batch, CROP, HEADS)
            c, valid = torch.zeros(batch, CROP, dtype=torch.long), torch.zeros(batch, CROP)
            for row, k in enumerate(order[b * batch : (b + 1) * batch]):
                which, start = crops[k]
                start = max(start - int(rng.integers(0, CROP)), 0)
                pace = float(rng.uniform(0.8, 1.3)) if rng.random() < 0.6 else 1.0
                piece, targets, names = cut(data[which], start, pace)
                n = len(targets)
                x[row, : STRIDE * n], y[row, :n] = torch.from_numpy(piece), torch.from_numpy(targets)
                c[row, :n], valid[row, :n] = torch.from_numpy(names), 1.0
                # Without the sound before the crop the first steps cannot be judged, but at a true start they must be.
                valid[row, : 30 if start else 0] = 0.0
            heads, classes = net(warp(x, generator))
            loss = loss_of(heads, classes, y, c, valid)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(net)
            sums += float(loss.detach())
        print(f"epoch {epoch + 1}/{epochs}: loss {sums / max(len(crops) // batch, 1):.4f}, {time.time() - began:.0f} s", flush=True)
    return average.module.eval()


def export(net: MouthNet, path: Path, seed: int) -> None:
    """Writes the weights as a safetensors file of float16, in the layout core/lite/mouth.py multiplies with."""
    tensors = {"enter.w": net.enter.weight.T, "enter.b": net.enter.bias}
    for k, block in enumerate(net.blocks):
        # The norm's gain and the convolution's taps, oldest first, as one (3 x width, width) matrix.
        tensors[f"{k}.norm.w"], tensors[f"{k}.norm.b"] = block.norm.weight, block.norm.bias
        tensors[f"{k}.conv.w"] = block.conv.weight.permute(2, 1, 0).reshape(-1, WIDTH)
        tensors[f"{k}.conv.b"] = block.conv.bias
        tensors[f"{k}.mix.w"], tensors[f"{k}.mix.b"] = block.mix.weight.T, block.mix.bias
    tensors |= {"norm.w": net.norm.weight, "norm.b": net.norm.bias, "heads.w": net.heads.weight.T, "heads.b": net.heads.bias}
    header: dict[str, object] = {"__metadata__": {"blocks": json.dumps(BLOCKS), "seed": str(seed)}}
    blobs, at = [], 0
    for name, tensor in tensors.items():
        blob = tensor.detach().numpy().astype("<f2").tobytes()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=3000)
    parser.add_argument("--versions", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="keep the corpus's features here, and take them from here if they are")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "core/lite/mouth.safetensors")
    o = parser.parse_args()
    torch.set_num_threads(o.processes)
    began = time.time()
    kept = o.cache / f"corpus_{o.seed}_{o.utterances}_{o.versions}.npz" if o.cache else None
    if kept and kept.exists():
        flat = np.load(kept)
        edges = flat["edges"]
        x, y, c = flat["x"], flat["y"], flat["c"]
        data = [(x[a:b], y[a:b], c[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    else:
        data = corpus(o.seed, o.utterances, o.versions, o.processes)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            edges = np.cumsum([0, *(len(x) for x, _, _ in data)])
            np.savez(kept, edges=edges, **{name: np.concatenate([d[k] for d in data]) for k, name in enumerate("xyc")})
    print(f"{len(data)} utterances, {sum(len(x) for x, _, _ in data) / 360_000:.2f} h, {time.time() - began:.0f} s", flush=True)
    export(train(data, o.epochs, o.seed), o.out, o.seed)


if __name__ == "__main__":
    main()
