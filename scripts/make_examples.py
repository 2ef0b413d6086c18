#!/usr/bin/env python3
"""Makes what the pages show of their examples: the videos of core/service/examples.py, by the lite engine, with the "AI" label.

usage: make_examples.py [--speech]

To be run when what the lite engine draws has changed. --speech: first the recordings of drawing and painting anew, which needs the voices
of requirements-speech.txt.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.media.sound_file import RATE_HZ, SoundWriter  # noqa: E402
from core.service.examples import EXAMPLES  # noqa: E402
from core.settings import Settings  # noqa: E402
from core.speech_synthesis.speaker import Speaker  # noqa: E402

SAID = {
    "drawing": ("bf_emma", "Hello! Somebody drew me with a few lines. And now I can talk."),
    "painting": ("af_bella", "A picture was painted, stroke by stroke. And now it has something to say."),
}


def speak(speaker: Speaker, voice_id: str, text: str, path: Path) -> None:
    voice = speaker.voice(voice_id)
    sound = SoundWriter("pcm", voice.sample_rate_hz)
    pieces = [sound.write(piece.samples) for piece in speaker.speak(text, voice)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(b"".join([*pieces, sound.finish()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", action="store_true", help="make the recordings of drawing and painting anew")
    speaker = Speaker(Settings(), None) if parser.parse_args().speech else None
    for example in EXAMPLES:
        if speaker is not None and example.name in SAID:
            speak(speaker, *SAID[example.name], example.speech)
        command = [sys.executable, str(ROOT / "inference.py"), "--engine", "lite", "--label", "--source_path", str(example.photo)]
        subprocess.run([*command, "--audio_path", str(example.speech), "--output_path", str(example.video)], check=True)


if __name__ == "__main__":
    main()
