#!/usr/bin/env python3
"""Command line that makes a talking-head video from one photo and one recording, or a text that is spoken.

Exit code 0; 2 for bad input (one line on stderr says what and what to do); 1 for anything else; 130 after Ctrl-C or a signal to end.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.command_line import OneLineParser, end_like_ctrl_c, exit_code
from core.engines.capabilities import CAPABILITIES
from core.engines.ditto_backends import BACKENDS
from core.errors import EngineUnavailable, OptionError, OutputError, disk_error
from core.options import PRESETS, Options, preset, read_assignments, read_file, read_options
from core.picture_options import ASPECTS, is_background
from core.types import COMMON_OPTIONS, Audio, Framing, Progress, RenderOptions, Request

if TYPE_CHECKING:
    from core.engines.base import Engine
    from core.settings import Settings
    from core.studio import Studio


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="inference.py", description="One photo and one recording, or a text, become a talking-head video.")
    speech = parser.add_argument_group("speech", "one of --audio_path, --text and --text_file").add_mutually_exclusive_group()
    speech.add_argument("--audio_path", type=Path, help="recording: wav, mp3, m4a, flac, ogg, opus, webm")
    speech.add_argument("--text", help="what is said, plain or SSML")
    speech.add_argument("--text_file", type=Path, help="the same from a file (UTF-8)")
    speech.add_argument("--list_voices", action="store_true", help="show the voices, and end")
    voice = parser.add_argument_group("voice", "of a text")
    voice.add_argument("--voice", default="", help="its id, as --list_voices shows it (default: the first)")
    voice.add_argument("--speed", default=1.0, type=float, help="0.5 to 2, relative to the voice's usual speed (default: %(default)s)")
    voice.add_argument("--captions", type=Path, metavar="FILE", help="write captions (.vtt or .srt); of a recording as they are recognised")
    parser.add_argument("--source_path", type=Path, help="photo: png, jpg, webp, bmp; or a video: mp4, mov, webm")
    parser.add_argument("--output_path", type=Path, help="video to write (.mp4)")
    parser.add_argument("--engine", default="auto", choices=("auto", "lite", "ditto"), help="default: auto")
    parser.add_argument(
        "--size", default=str(RenderOptions.size), help='shorter side of the video in pixels, or "source" (default: %(default)s)'
    )
    parser.add_argument(
        "--aspect", default=RenderOptions.aspect, choices=("auto", *ASPECTS, "source"), help="width to height (default: 1:1)"
    )
    parser.add_argument(
        "--crop", metavar="X,Y,W,H", help="part of the photo that is shown, in shares of its width and height: 0.1,0,0.8,0.9"
    )
    parser.add_argument("--background", metavar="WHAT", help='behind the person: "keep", "blur", "#rrggbb" or the path of a picture (lite)')
    parser.add_argument("--face", default=Framing.face_index, type=int, help="which face, 0 is the largest (default: %(default)s)")
    parser.add_argument("--seed", default=str(RenderOptions.seed), help='of blinks and sway, or "random" (default: %(default)s)')
    parser.add_argument("--label", action="store_true", help='draw a small "AI" into the lower left corner')
    parser.add_argument(
        "--mark", nargs="?", const="on", default="on", choices=("on", "off"), help="an imperceptible mark in every frame (default: on)"
    )  # fmt: skip
    parser.add_argument("--burn_captions", action="store_true", help="draw the words of a text into the picture while they are said")
    ditto = parser.add_argument_group("ditto", "of the ditto engine only")
    ditto.add_argument("--preset", choices=tuple(PRESETS), help="steps, overlap, smoothing and size under one name")
    ditto.add_argument("--controls", type=Path, metavar="FILE.json", help="options by name, from a file")
    ditto.add_argument("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="one option by name (repeat)")
    ditto.add_argument("--detector", default="mediapipe", choices=("mediapipe", "insightface"), help="default: mediapipe")
    ditto.add_argument("--format", default="pytorch", choices=("pytorch", "onnx"), help="of the downloaded checkpoints (default: pytorch)")
    ditto.add_argument("--data_root", type=Path, help="folder of checkpoints, instead of the downloaded ones; with --cfg_pkl")
    ditto.add_argument("--cfg_pkl", type=Path, help="configuration file (.pkl), instead of the checkpoints' own")
    ditto.add_argument("--device", help='"cuda", "cuda:1", "cuda:0,cuda:1", "mps" or "cpu" (default: a GPU where there is one)')
    ditto.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs the networks (default: the fastest that runs here)")
    ditto.add_argument("--batch_size", type=int, metavar="N", help="frames drawn at once (default: 10 on a GPU, else 1)")
    profile = parser.add_argument_group("profile", "where the time goes")
    profile.add_argument(
        "--profile", nargs="?", type=Path, const=Path(), metavar="FOLDER",
        help="time the stages of further runs, into FOLDER (default: beside the video, its name with .profile)",
    )  # fmt: skip
    profile.add_argument("--num_profile_runs", type=int, default=1, metavar="N", help="runs that are timed (default: %(default)s)")
    profile.add_argument("--profile_memory", action="store_true", help="also what each operation of PyTorch allocates")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is one JSON object")
    arguments = parser.parse_args(argv)
    if not arguments.list_voices:
        check_complete(parser, arguments)
    return arguments


def check_complete(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the program where something needed is not given, or something given would do nothing."""
    if arguments.audio_path is None and arguments.text is None and arguments.text_file is None:
        parser.error("one of --audio_path, --text and --text_file is required")
    missing = [flag for flag in ("--source_path", "--output_path") if getattr(arguments, flag[2:]) is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    if arguments.audio_path is not None and (arguments.voice or arguments.speed != 1.0):
        parser.error("--voice and --speed are for --text and --text_file")
    if arguments.captions is not None and arguments.captions.suffix.lower() not in (".vtt", ".srt"):
        parser.error("the name of --captions must end in .vtt or .srt")


def given_by_name(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of the file and of --set; the later holds."""
    return {**(read_file(arguments.controls) if arguments.controls else {}), **read_assignments(arguments.assignments)}


def parse_options(arguments: argparse.Namespace, given: Mapping[str, Any]) -> Options:
    """Preset, then what is `given_by_name`: the later holds. Flags where that does not say otherwise."""
    size, seed = arguments.size, arguments.seed
    if size != "source" and not size.isdecimal():
        raise OptionError(f"--size is {size!r}.", 'It must be a number of pixels, or "source".')
    if seed != "random" and not seed.isdecimal():
        raise OptionError(f"--seed is {seed!r}.", 'It must be a whole number from 0, or "random".')
    values: dict[str, Any] = {
        "size": "source" if size == "source" else int(size),
        "seed": random.SystemRandom().randrange(2**32) if seed == "random" else int(seed),
        "aspect": arguments.aspect,
        "crop": arguments.crop,
        **({} if arguments.background is None or background_picture(arguments, given) else {"background": arguments.background}),
        "face_index": arguments.face,
        "label": arguments.label,
        "mark": arguments.mark == "on",
        "burn_captions": arguments.burn_captions,
        **(preset(arguments.preset) if arguments.preset else {}),
        **given,
    }
    return read_options(values)


def background_picture(arguments: argparse.Namespace, given: Mapping[str, Any]) -> Path | None:
    """The picture that is to be behind the person; None where there is to be none."""
    text = arguments.background
    return Path(text) if text and "background" not in given and not is_background(text) else None


def check_engine(arguments: argparse.Namespace, given: Mapping[str, Any], studio: Studio) -> str:
    """The engine that will run. Where that is not Ditto, what is Ditto's alone is refused by the name that it was given under.

    Raises OptionError.
    """
    name, reason = studio.choose_engine(arguments.engine)
    if name == "ditto":
        return name
    flags = {
        "--preset": arguments.preset is not None,
        "--format": arguments.format != "pytorch",
        "--data_root": arguments.data_root is not None,
        "--cfg_pkl": arguments.cfg_pkl is not None,
        "--backend": arguments.backend != "auto",
        "--batch_size": arguments.batch_size is not None,
    }
    ditto_only = [flag for flag, is_given in flags.items() if is_given]
    ditto_only += [option for option in given if option not in CAPABILITIES[name] | COMMON_OPTIONS]
    if ditto_only:
        raise OptionError(
            f"{ditto_only[0]} is for the ditto engine, but the {name} engine would run ({reason}).", "Leave it out, or say --engine ditto."
        )
    return name


def ditto_factory(arguments: argparse.Namespace, settings: Settings, cancel: threading.Event) -> Callable[[], Engine]:
    """How the studio gets its Ditto engine: the checkpoints are fetched where they are missing, with a line that shows how far."""
    if arguments.data_root is not None and arguments.cfg_pkl is None:
        raise OptionError("--data_root is given without --cfg_pkl.", "The configuration says which file is which network.")

    def make() -> Engine:
        from manager.ditto import make_replicas
        from manager.progress import TerminalBar

        bar = TerminalBar()
        try:
            return make_replicas(
                settings,
                bar,
                cancel,
                device=arguments.device,
                detector=arguments.detector,
                data_root=arguments.data_root,
                cfg_pkl=arguments.cfg_pkl,
                format=arguments.format,
                batch=arguments.batch_size,
                backend=arguments.backend,
            )
        finally:
            bar.end()

    return make


class ProgressBar:
    """One line on a terminal, rewritten at most ten times a second; silent elsewhere."""

    WIDTH = 30

    def __init__(self) -> None:
        self._shown = 0.0
        self._active = sys.stderr.isatty()
        self._started = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if not self._active or (now - self._shown < 0.1 and not 0 < progress.total <= progress.done):
            return
        self._shown = now
        line = f"{progress.stage:<12} "
        if progress.total:
            filled = self.WIDTH * progress.done // progress.total
            line += f"[{'#' * filled}{'.' * (self.WIDTH - filled)}] {progress.done}/{progress.total} frames"
        elif progress.done:
            line += f"{progress.done} frames"
        sys.stderr.write(f"\r\x1b[K{line}  {now - self._started:.1f} s ")
        sys.stderr.flush()

    def end(self) -> None:
        if self._active:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def list_voices(as_json: bool) -> int:
    """One line for each voice, or with --json one list."""
    from core.settings import load_settings
    from core.speech_synthesis.speaker import Speaker
    from manager.kokoro import offer_kokoro

    speaker = Speaker(load_settings(), None, offer_kokoro())
    speaker.voice()  # says what to do where there are none
    voices = speaker.voices()
    if as_json:
        sys.stdout.write(json.dumps([dataclasses.asdict(voice) for voice in voices]) + "\n")
        return 0
    kinds = {True: "natural", False: "synthetic"}
    lines = (f"{each.id:<24} {each.language or 'several':<12} {kinds[each.natural]:<10} {each.name} ({each.licence})\n" for each in voices)
    sys.stdout.write("".join(lines))  # at once: who reads only the first lines must not break the others off
    return 0


def read_speech(
    arguments: argparse.Namespace, settings: Settings, cancel: threading.Event, load_ahead: Callable[[], None], burned: bool
) -> Audio:
    """The recording; or the text spoken, with the times of its words. load_ahead: called once the text is known to be good.
    burned: captions will be drawn into the video.
    """
    from core.media.audio import load_audio

    if arguments.audio_path is not None:
        return load_audio(arguments.audio_path, settings)
    from core.speech_synthesis.recording import spoken
    from core.speech_synthesis.speaker import Speaker
    from core.speech_synthesis.text import read_text_file
    from manager.kokoro import offer_kokoro
    from manager.progress import TerminalBar

    text = arguments.text if arguments.text is not None else read_text_file(arguments.text_file, settings.max_text_chars)
    bar = TerminalBar()
    speaker = Speaker(settings, None, offer_kokoro(bar))  # a command line leaves nothing behind but the video
    try:
        voice = speaker.voice(arguments.voice)
        speaker.check(text, voice, arguments.speed)
        if burned:
            speaker.check_captions(text, voice)
        load_ahead()
        return spoken(speaker, settings, text, voice, arguments.speed, cancel=cancel)[0]
    finally:
        bar.end()
        speaker.close()


@contextlib.contextmanager
def loading_beside(studio: Studio, engine: str) -> Iterator[Callable[[], None]]:
    """Gives what begins to load the lite engine on a thread of its own, where that is the engine; waits for it at the end: the engine
    holds stderr back while it is loaded, and what is said there must not be lost.
    """
    started = threading.Event()

    def start() -> None:
        if engine == "lite":
            studio.engines.start(engine)
            started.set()

    try:
        yield start
    finally:
        if started.is_set():
            with contextlib.suppress(EngineUnavailable):  # said when the video is made
                studio.engine(engine)


def recognised(audio: Audio, settings: Settings, cancel: threading.Event) -> Audio:
    """The recording with its words. Raises OptionError where there is no recogniser."""
    from core.service.recorded_words import RecordedWords
    from core.service.speech_recognition import SpeechRecognition

    service = SpeechRecognition(settings)
    try:
        recorded = RecordedWords(service)
        recorded.check()
        return dataclasses.replace(audio, words=recorded.begin(audio, cancel).words())
    finally:
        service.close()


def check_captions(path: Path, audio: Audio) -> None:
    """Before the video is made: raises OptionError for a voice that tells no times, OutputError for a folder that is not there."""
    if not audio.words:
        raise OptionError("The voice does not tell when its words are said, which --captions needs.", "Choose another voice.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{path} cannot be written: its folder does not exist.", "Choose another place.")


def write_captions(path: Path, audio: Audio) -> None:
    """Raises OutputError."""
    from core.media.captions import captions, subrip, webvtt

    form = subrip if path.suffix.lower() == ".srt" else webvtt
    try:
        path.write_text(form(captions(audio.words)), "utf-8")
    except OSError as error:
        raise disk_error(error, f"{path} cannot be written", "Choose a place you may write to.") from error


def run(arguments: argparse.Namespace) -> int:
    if arguments.list_voices:
        return list_voices(arguments.json)
    given = given_by_name(arguments)
    options = parse_options(arguments, given)
    output: Path = arguments.output_path
    if output.suffix.lower() != ".mp4":
        raise OptionError(f"--output_path is {str(output)!r}.", "Its name must end in .mp4.")
    if arguments.num_profile_runs < 1:
        raise OptionError(f"--num_profile_runs is {arguments.num_profile_runs}.", "It must be at least 1.")
    if arguments.profile is None and (arguments.profile_memory or arguments.num_profile_runs > 1):
        raise OptionError("A profile is described, but not asked for.", "Say --profile too.")

    from core.media.image import load_image
    from core.media.source import load_source  # the heavy imports come after the arguments are known to be good
    from core.profiling import profile
    from core.settings import load_settings
    from core.studio import open_studio

    settings = load_settings()
    bar = ProgressBar()
    cancel = threading.Event()
    try:
        studio = open_studio(settings, ditto_factory(arguments, settings, cancel), arguments.device)
        engine = check_engine(arguments, given, studio)
        source, picture = load_source(arguments.source_path, settings), background_picture(arguments, given)
        if picture is not None:
            options = dataclasses.replace(options, render=dataclasses.replace(options.render, background=load_image(picture, settings)))
        with loading_beside(studio, engine) as load_ahead:
            audio = read_speech(arguments, settings, cancel, load_ahead, options.render.burn_captions)
        if arguments.audio_path is not None and (arguments.captions is not None or options.render.burn_captions):
            bar(Progress("recognising"))
            audio = recognised(audio, settings, cancel)
        if arguments.captions is not None:
            check_captions(arguments.captions, audio)
        request = Request(
            audio=audio,
            source=source,
            engine=arguments.engine,
            framing=options.framing,
            controls=options.controls,
            options=options.render,
        )
        generation = studio.generate(request, output, bar)
        if arguments.captions is not None:
            write_captions(arguments.captions, audio)
        if arguments.profile is not None:  # after a run that takes memory, registers the face and chooses kernels
            folder = output.with_suffix(".profile") if arguments.profile == Path() else arguments.profile
            again = partial(studio.generate, request, output, bar)
            profiled = profile(again, arguments.num_profile_runs, arguments.profile_memory, folder)
            bar.end()
            sys.stderr.write(f"{profiled}{folder}\n")
    finally:
        cancel.set()
        bar.end()
    info = generation.info
    for warning in info.warnings:
        sys.stderr.write(f"note: {warning}\n")
    if arguments.json:
        sys.stdout.write(json.dumps({**info.to_dict(), "output": str(generation.path)}) + "\n")
    else:
        sys.stdout.write(
            f"{generation.path}: {info.frames} frames, {info.width}x{info.height}, {info.audio_s:.1f} s of speech in {info.wall_s:.1f} s "
            f"(RTF {info.rtf:.2f}) by the {info.engine} engine ({info.engine_reason})\n"
        )
    return 0


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    return exit_code(lambda: run(arguments), "stopped; nothing was written")


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
