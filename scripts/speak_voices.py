"""Has the product's own voices say the held-out texts, and draws a video of each with the phones that they tell.

usage: python scripts/speak_voices.py FOLDER [--rows]

Writes <voice>.json (phones, as of scripts/speak_heldout.py), and <voice>.mp4 of the shipped portrait, or with --rows <voice>.npy, the rows
of the mouth alone. `benchmarks/lipsync.py FOLDER/*.mp4 --phones FOLDER/*.json` measures them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from core.lite import phones
from core.lite.mouth import MouthTracker
from core.media.image import load_image
from core.request import Request
from core.settings import Settings
from core.speech_synthesis.recording import spoken
from core.speech_synthesis.speaker import Speaker
from core.studio import Studio, open_studio
from core.types import Audio

ROOT = Path(__file__).parent.parent
TEXTS = {
    "af_heart": "", "bm_george": "", "espeak-en-us": "",
    "espeak-de": "Mein Bruder bleibt am Montag bei Oma Paula. Fünf Vögel fliegen über den Bahnhof, und wir packen unsere Koffer.",
    "ff_siwis": "Mon ami Philippe prépare un bon repas pour sa mère. Il fait beau, mais le vent souffle vers Paris.",
    "ef_dora": "Mi abuela prepara una sopa muy buena para Pablo. Vamos al parque mañana por la tarde con papá y mamá.",
    "if_sara": "Mia mamma compra pane e burro al mercato. Poi beviamo un buon bicchiere di vino bianco con papà.",
}  # fmt: skip
"""By voice; "": English sentences of benchmarks/heldout.json."""


def english() -> str:
    clips = json.loads((ROOT / "benchmarks/heldout.json").read_text("utf-8"))["clips"]
    return " ".join(next(clip["texts"] for clip in clips if clip["tts"] == "flite"))


def rows(audio: Audio) -> np.ndarray:
    tracker = MouthTracker()
    tracker.expect(audio.phones)
    return np.concatenate((tracker.push(audio.samples), tracker.flush()))


def video(studio: Studio, audio: Audio, path: Path) -> None:
    studio.generate(Request(audio, load_image(ROOT / "assets/portrait.png", studio.settings), "lite"), path)


def main() -> None:
    folder, only_rows = Path(sys.argv[1]), "--rows" in sys.argv
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(mark=False)
    speaker, studio = Speaker(settings, None), open_studio(settings)
    for voice, text in TEXTS.items():
        audio, _ = spoken(speaker, settings, text or english(), speaker.voice(voice))
        found = phones.expand([(phone.ipa, phone.start_s, phone.end_s) for phone in audio.phones])
        told = [[phone, round(start_s, 4), round(end_s, 4), phones.TABLE[phone].group] for phone, start_s, end_s in found]
        (folder / f"{voice}.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        if only_rows:
            np.save(folder / f"{voice}.npy", rows(audio))
        else:
            video(studio, audio, folder / f"{voice}.mp4")
        print(f"{voice}: {audio.duration_s:.1f} s, {len(told)} phones")
    studio.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main()
