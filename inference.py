#!/usr/bin/env python3
"""Command line that makes a talking-head video from one photo or video and one recording, or a text that is spoken; or many, from a list.

Exit code 0; 2 for bad input (one line on stderr says what and what to do); 1 for anything else; 130 after Ctrl-C or a signal to end.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from core import given_speech
from core.command_line import OneLineParser, end_like_ctrl_c, exit_code
from core.engines.capabilities import CAPABILITIES
from core.engines.ditto_backends import BACKENDS
from core.errors import EngineUnavailable, OptionError
from core.generation import Generation, Progress
from core.given_speech import GivenSpeech
from core.media.formats import PHOTO_FORMATS, SOUND_FORMATS, VIDEO_FORMATS
from core.options import PRESETS, background_picture, preset, read_assignments, read_file, read_options, with_seed
from core.picture_options import ASPECTS
from core.progress_bar import ProgressBar
from core.request import COMMON_OPTIONS, MAX_TRANSCRIPT_CHARS, Framing, RenderOptions, Request
from core.types import Audio
from manager.terminal import ditto_on_terminal, speaker_on_terminal

if TYPE_CHECKING:
    from core.settings import Settings
    from core.studio import Studio

AS_NAMED: Mapping[str, str] = MappingProxyType({})
AT_ONCE = 1
"""Videos of a list that are made at once: more are no faster on a CPU (docs/footage.md)."""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog="inference.py", description="One photo or video, and one recording or a text, become a talking-head video.")
    speech = parser.add_argument_group("speech", "one of --audio_path, --text and --text_file").add_mutually_exclusive_group()
    speech.add_argument("--audio_path", type=Path, help=f"recording: {SOUND_FORMATS}")
    speech.add_argument("--text", help="what is said, plain or SSML")
    speech.add_argument("--text_file", type=Path, help="the same from a file (UTF-8)")
    speech.add_argument("--list_voices", action="store_true", help="show the voices, and end")
    voice = parser.add_argument_group("voice", "of a text")
    voice.add_argument("--voice", default="", help="its id, as --list_voices shows it (default: the first)")
    voice.add_argument("--speed", default=1.0, type=float, help="0.5 to 2, relative to the voice's usual speed (default: %(default)s)")
    parser.add_argument("--visemes", type=Path, metavar="FILE", help="write what the mouth does, for other avatars (.json)")
    voice.add_argument("--captions", type=Path, metavar="FILE", help="write captions (.vtt or .srt); of a recording as they are recognised")
    parser.add_argument("--source_path", type=Path, help=f"photo ({PHOTO_FORMATS}) or video ({VIDEO_FORMATS})")
    parser.add_argument("--output_path", type=Path, help="video to write (.mp4)")
    parser.add_argument("--engine", default="auto", choices=("auto", "lite", "ditto"), help="default: auto")
    parser.add_argument(
        "--size", default=str(RenderOptions.size), help='shorter side of the video in pixels, or "source" (default: %(default)s)'
    )
    parser.add_argument(
        "--aspect", default=RenderOptions.aspect, choices=("auto", *ASPECTS, "source"), help="width to height (default: 1:1)"
    )
    parser.add_argument(
        "--crop", metavar="X,Y,W,H", help="part of photo or video that is shown, in shares of its width and height: 0.1,0,0.8,0.9"
    )
    parser.add_argument("--background", metavar="WHAT", help='behind the person: "keep", "blur", "#rrggbb" or the path of a picture (lite)')
    parser.add_argument("--face", default=Framing.face_index, type=int, help="which face, 0 is the largest (default: %(default)s)")
    parser.add_argument(
        "--landmarks", metavar='"X,Y X,Y ..."',
        help="where a face is that is not found: left eye, right eye, left and right corner of the mouth (the viewer's left and right), "
        "lips, chin, in shares of the photo's width and height (lite)",
    )  # fmt: skip
    parser.add_argument("--seed", default=str(RenderOptions.seed), help='of blinks and sway, or "random" (default: %(default)s)')
    parser.add_argument("--crf", default=RenderOptions.crf, type=int, help="of H.264: less is finer, and larger (default: %(default)s)")
    parser.add_argument("--label", action="store_true", help='draw a small "AI" into the lower left corner')
    parser.add_argument(
        "--mark", nargs="?", const="on", default="on", choices=("on", "off"), help="an imperceptible mark in every frame (default: on)"
    )  # fmt: skip
    parser.add_argument("--transcript", type=Path, metavar="FILE", help="what is said in --audio_path, in English (UTF-8): lips follow it")
    parser.add_argument("--burn_captions", action="store_true", help="draw the words into the picture while they are said")
    named = parser.add_argument_group("options by name", "of both engines (docs/usage.md)")
    named.add_argument("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="one option by name (repeat)")
    named.add_argument("--controls", type=Path, metavar="FILE.json", help="options by name, from a file")
    add_ditto_flags(parser)
    profile = parser.add_argument_group("profile", "where the time goes")
    profile.add_argument(
        "--profile", nargs="?", type=Path, const=Path(), metavar="FOLDER",
        help="time the stages of further runs, into FOLDER (default: beside the video, its name with .profile)",
    )  # fmt: skip
    profile.add_argument("--num_profile_runs", type=int, default=1, metavar="N", help="runs that are timed (default: %(default)s)")
    profile.add_argument("--profile_memory", action="store_true", help="also what each operation of PyTorch allocates")
    many = parser.add_argument_group("many videos", "from a list (docs/footage.md); other flags hold for rows that do not say otherwise")
    many.add_argument("--jobs", type=Path, metavar="LIST", help=".csv or .jsonl; columns: audio or text, source, output, options by name")
    many.add_argument("--at_once", type=int, default=AT_ONCE, metavar="N", help="videos made at the same time (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is one JSON object")
    arguments = parser.parse_args(argv)
    if not arguments.list_voices:
        check_complete(parser, arguments)
    return arguments


def add_ditto_flags(parser: argparse.ArgumentParser) -> None:
    ditto = parser.add_argument_group("ditto", "of the ditto engine only")
    ditto.add_argument("--preset", choices=tuple(PRESETS), help="steps, overlap, smoothing and size under one name")
    ditto.add_argument("--detector", default="mediapipe", choices=("mediapipe", "insightface"), help="default: mediapipe")
    ditto.add_argument("--format", default="pytorch", choices=("pytorch", "onnx"), help="of the downloaded checkpoints (default: pytorch)")
    ditto.add_argument("--data_root", type=Path, help="folder of checkpoints, instead of the downloaded ones; with --cfg_pkl")
    ditto.add_argument("--cfg_pkl", type=Path, help="configuration file (.pkl), instead of the checkpoints' own")
    ditto.add_argument("--device", help='"cuda", "cuda:1", "cuda:0,cuda:1", "mps" or "cpu" (default: a GPU where there is one)')
    ditto.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs the networks (default: the fastest that runs here)")
    ditto.add_argument("--batch_size", type=int, metavar="N", help="frames drawn at once (default: 10 on a GPU, else 1)")


def check_complete(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the program where something needed is not given, or something given would do nothing."""
    if arguments.jobs is not None:
        for flag in ("output_path", "captions", "visemes", "profile", "transcript"):
            if getattr(arguments, flag) is not None:
                parser.error(f"--{flag} is for one video, not for --jobs")
        if not 1 <= arguments.at_once <= 64:
            parser.error(f"--at_once is {arguments.at_once}; it must be 1 to 64")
        return
    if arguments.at_once != AT_ONCE:
        parser.error("--at_once is for --jobs")
    if arguments.audio_path is None and arguments.text is None and arguments.text_file is None:
        parser.error("one of --audio_path, --text and --text_file is required")
    missing = [flag for flag in ("--source_path", "--output_path") if getattr(arguments, flag[2:]) is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    if arguments.audio_path is not None and (arguments.voice or arguments.speed != 1.0):
        parser.error("--voice and --speed are for --text and --text_file")
    if arguments.transcript is not None and arguments.audio_path is None:
        parser.error("--transcript is for --audio_path")
    if arguments.captions is not None and arguments.captions.suffix.lower() not in (".vtt", ".srt"):
        parser.error("the name of --captions must end in .vtt or .srt")
    if arguments.visemes is not None and arguments.visemes.suffix.lower() != ".json":
        parser.error("the name of --visemes must end in .json")


def given_by_name(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of the file and of --set; the later holds."""
    return {**(read_file(arguments.controls) if arguments.controls else {}), **read_assignments(arguments.assignments)}


def option_values(arguments: argparse.Namespace, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options by name: flags, over them the preset, over that what is `given_by_name`. Raises OptionError."""
    size, seed = arguments.size, arguments.seed
    if size != "source" and not size.isdecimal():
        raise OptionError(f"--size is {size!r}.", 'It must be a number of pixels, or "source".')
    if seed != "random" and not seed.isdecimal():
        raise OptionError(f"--seed is {seed!r}.", 'It must be a whole number from 0, or "random".')
    return {
        "size": "source" if size == "source" else int(size),
        "seed": seed if seed == "random" else int(seed),
        "aspect": arguments.aspect,
        "crop": arguments.crop,
        **({} if arguments.background is None else {"background": arguments.background}),
        "face_index": arguments.face,
        **({} if arguments.landmarks is None else {"landmarks": arguments.landmarks}),
        "crf": arguments.crf,
        "label": arguments.label,
        "mark": arguments.mark == "on",
        "burn_captions": arguments.burn_captions,
        **({} if arguments.transcript is None else {"transcript": read_transcript(arguments.transcript)}),
        "visemes": arguments.visemes is not None,
        **(preset(arguments.preset) if arguments.preset else {}),
        **given,
    }


def check_engine(arguments: argparse.Namespace, given: Mapping[str, Any], studio: Studio, written_as: Mapping[str, str] = AS_NAMED) -> str:
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
    ditto_only += [written_as.get(option, option) for option in given if option not in CAPABILITIES[name] | COMMON_OPTIONS]
    if ditto_only:
        raise OptionError(
            f"{ditto_only[0]} is for the ditto engine, but the {name} engine would run ({reason}).", "Leave it out, or say --engine ditto."
        )
    return name


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


def read_speech(
    arguments: argparse.Namespace, settings: Settings, cancel: threading.Event, load_ahead: Callable[[], None], burned: bool
) -> Audio:
    """The recording; or the text spoken, with the times of its words. load_ahead: called once the text is known to be good.
    burned: captions will be drawn into the video.
    """
    if arguments.audio_path is not None:
        return given_speech.read_recording(arguments.audio_path, settings)
    speech = GivenSpeech(None, read_text(arguments, settings), arguments.voice, arguments.speed)
    with speaker_on_terminal(settings) as speaker:
        return given_speech.speak_text(speech, settings, speaker, cancel, burned, load_ahead)


def read_transcript(path: Path) -> str:
    from core.speech_synthesis.text import read_text_file

    return read_text_file(path, MAX_TRANSCRIPT_CHARS)


def read_text(arguments: argparse.Namespace, settings: Settings) -> str:
    from core.speech_synthesis.text import read_text_file

    text: str | None = arguments.text
    return text if text is not None else read_text_file(arguments.text_file, settings.max_text_chars)


def ditto_from(arguments: argparse.Namespace, settings: Settings, cancel: threading.Event) -> Callable[[], Any]:
    """How the studio gets its Ditto engine."""
    return ditto_on_terminal(
        settings, cancel, arguments.device, detector=arguments.detector, data_root=arguments.data_root, cfg_pkl=arguments.cfg_pkl,
        format=arguments.format, batch=arguments.batch_size, backend=arguments.backend,
    )  # fmt: skip


def networks_of(arguments: argparse.Namespace) -> dict[str, str]:
    """What tells apart with which networks Ditto draws."""
    folders = {name: str(path.absolute()) for name in ("data_root", "cfg_pkl") if (path := getattr(arguments, name)) is not None}
    return {"detector": arguments.detector, "format": arguments.format, **folders}


def run_list(arguments: argparse.Namespace, given: Mapping[str, Any]) -> int:
    """The videos of --jobs."""
    from core.batch.command import make_videos, places
    from core.settings import load_settings
    from core.studio import open_studio

    settings = places(load_settings(), arguments.at_once)
    common = {**option_values(arguments, given), "engine": arguments.engine}
    for name in ("audio", "source"):
        if (path := getattr(arguments, f"{name}_path")) is not None:
            common[name] = path.absolute()
    if (picture := background_picture(common)) is not None:
        common["background"] = str(picture.absolute())
    if arguments.text is not None or arguments.text_file is not None:
        common["text"] = read_text(arguments, settings)
    common |= {"voice": arguments.voice, "speed": arguments.speed}
    cancel = threading.Event()
    studio = open_studio(settings, ditto_from(arguments, settings, cancel), arguments.device)
    try:
        check_engine(arguments, given, studio)
        with speaker_on_terminal(settings) as speaker:
            return make_videos(
                arguments.jobs, common, studio=studio, settings=settings, speaker=speaker, cancel=cancel, at_once=arguments.at_once,
                as_json=arguments.json, networks=networks_of(arguments),
            )  # fmt: skip
    finally:
        studio.close()


def check_output(arguments: argparse.Namespace) -> None:
    """Raises OptionError where the video, or a profile of it, cannot be as it is asked for."""
    if arguments.output_path.suffix.lower() != ".mp4":
        raise OptionError(f"--output_path is {str(arguments.output_path)!r}.", "Its name must end in .mp4.")
    if arguments.num_profile_runs < 1:
        raise OptionError(f"--num_profile_runs is {arguments.num_profile_runs}.", "It must be at least 1.")
    if arguments.profile is None and (arguments.profile_memory or arguments.num_profile_runs > 1):
        raise OptionError("A profile is described, but not asked for.", "Say --profile too.")


def tell(generation: Generation, as_json: bool) -> None:
    """What was made, on stdout, and its warnings on stderr."""
    info = generation.info
    for warning in info.warnings:
        sys.stderr.write(f"note: {warning}\n")
    if as_json:
        sys.stdout.write(json.dumps({**info.to_dict(), "output": str(generation.path)}) + "\n")
    else:
        sys.stdout.write(
            f"{generation.path}: {info.frames} frames, {info.width}x{info.height}, {info.audio_s:.1f} s of speech in {info.wall_s:.1f} s "
            f"(RTF {info.rtf:.2f}) by the {info.engine} engine ({info.engine_reason})\n"
        )


def run(arguments: argparse.Namespace, written_as: Mapping[str, str] = AS_NAMED) -> int:
    """The exit code. written_as: the flags under which options were given that are no flags here. Raises TalkingHeadError."""
    if arguments.list_voices:
        return list_voices(arguments.json)
    given = given_by_name(arguments)
    if arguments.jobs is not None:
        return run_list(arguments, given)
    values = option_values(arguments, given)
    picture = background_picture(values)
    options = read_options(with_seed({name: value for name, value in values.items() if name != "background" or picture is None}))
    output: Path = arguments.output_path
    check_output(arguments)
    given_speech.check_transcript(options.render.transcript, GivenSpeech(arguments.audio_path))

    from core.media.image import load_image
    from core.media.source import load_source  # the heavy imports come after the arguments are known to be good
    from core.profiling import profile
    from core.settings import load_settings
    from core.studio import open_studio
    from core.visemes.document import add_words
    from core.visemes.files import beside

    settings = load_settings()
    bar = ProgressBar()
    cancel, opened = threading.Event(), contextlib.ExitStack()
    try:
        studio = open_studio(settings, ditto_from(arguments, settings, cancel), arguments.device)
        engine = check_engine(arguments, given, studio, written_as)
        source = load_source(arguments.source_path, settings)
        if picture is not None:
            options = dataclasses.replace(options, render=dataclasses.replace(options.render, background=load_image(picture, settings)))
        with loading_beside(studio, engine) as load_ahead:
            audio = read_speech(arguments, settings, cancel, load_ahead, options.render.burn_captions)
        heard = None
        if options.render.transcript:
            bar(Progress("recognising"))
            audio = given_speech.with_transcript(audio, options.render.transcript, cancel)
            options = dataclasses.replace(options, render=dataclasses.replace(options.render, transcript=""))
        if arguments.audio_path is not None and not audio.words and (arguments.captions is not None or options.render.burn_captions):
            heard = opened.enter_context(given_speech.recognition(audio, settings, cancel))
        if arguments.captions is not None:
            given_speech.check_captions(arguments.captions, audio, heard is not None)
        if arguments.visemes is not None:
            given_speech.check_place(arguments.visemes)
        if heard is not None and options.render.burn_captions:
            bar(Progress("recognising"))
            audio = dataclasses.replace(audio, words=heard.words())
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
            words = audio.words if heard is None else heard.words()
            given_speech.write_captions(arguments.captions, words, audio.duration_s)
            if options.render.visemes:
                add_words(beside(output), words)
        if arguments.visemes is not None:
            given_speech.move_visemes(beside(output), arguments.visemes)
        if arguments.profile is not None:  # after a run that takes memory, registers the face and chooses kernels
            folder = output.with_suffix(".profile") if arguments.profile == Path() else arguments.profile
            again = partial(studio.generate, request, output, bar)
            profiled = profile(again, arguments.num_profile_runs, arguments.profile_memory, folder)
            bar.end()
            sys.stderr.write(f"{profiled}{folder}\n")
    finally:
        cancel.set()
        opened.close()
        bar.end()
    tell(generation, arguments.json)
    return 0


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    interrupted = "stopped; nothing was written" if arguments.jobs is None else "stopped; the same command goes on with what is left"
    return exit_code(lambda: run(arguments), interrupted)


if __name__ == "__main__":
    end_like_ctrl_c()
    sys.exit(main())
