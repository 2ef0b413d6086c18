"""Synthesises the held-out texts with the held-out voices: <name>.wav (16 kHz) and <name>.json (its phones).

usage: python scripts/speak_heldout.py FOLDER [--videos]

--videos also writes <name>.mp4 of the shipped portrait.

The phones file is a JSON list of [phone in IPA, start_s, end_s, kind]; kind is one of core.lite.phones.GROUPS, diphthongs and
affricates are split into their parts. `benchmarks/lipsync.py FOLDER/*.mp4 --phones FOLDER/*.json` measures them. Needs flite and espeak-ng.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones
from core.media.audio import load_audio
from core.settings import Settings
from core.studio import open_studio
from scripts import speech_corpus, speech_texts
from scripts.speak_voices import video


def held_back() -> list[tuple[str, speech_corpus.Utterance]]:
    """Every clip of benchmarks/heldout.json: its texts one after the other, half a second of silence around each."""
    espeak = speech_corpus.Espeak()
    clips = []
    for clip in speech_texts.HELD_OUT["clips"]:
        sound, segments, at = [], [], 0.0
        for text in clip["texts"]:
            if clip["tts"] == "flite":
                spoken = speech_corpus.flite(text, clip["voice"])
            else:
                spoken = espeak.say(text, f"{clip['voice']}+{clip['variant']}" if clip["variant"] else clip["voice"])
            gap = np.zeros(speech_corpus.RATE // 2, np.float32)
            segments.append(("_", at, at + 0.5))
            segments += [(p, s + at + 0.5, e + at + 0.5) for p, s, e in spoken.segments]
            sound += [gap, spoken.samples]
            at += 0.5 + len(spoken.samples) / speech_corpus.RATE
        sound.append(gap)
        segments.append(("_", segments[-1][2], at + 0.5))
        samples = np.concatenate(sound)
        clips.append((clip["name"], speech_corpus.Utterance(samples / max(float(np.abs(samples).max()), 1e-3) * 0.6, segments)))
    return clips


def main() -> None:
    folder, videos = Path(sys.argv[1]), "--videos" in sys.argv
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(mark=False)
    studio = open_studio(settings)
    for name, spoken in held_back():
        soundfile.write(folder / f"{name}.wav", spoken.samples, speech_corpus.RATE, subtype="PCM_16")
        told = [[p, round(s, 4), round(e, 4), phones.TABLE[p].group] for p, s, e in phones.expand(spoken.segments)]
        (folder / f"{name}.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        if videos:
            video(studio, load_audio((folder / f"{name}.wav").read_bytes(), settings), folder / f"{name}.mp4")
        print(f"{name}: {len(spoken.samples) / speech_corpus.RATE:.1f} s, {len(told)} phones")
    studio.close()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--videos"]):
        raise SystemExit(__doc__)
    main()
