"""The Gradio API: endpoints with stable names, typed and described. Errors reach the client as messages that name the problem."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from core.errors import OptionError
from core.media.captions import webvtt
from core.request import Avatar, Framing, RenderOptions
from core.service.errors import hide_paths
from core.service.job_views import JobView
from core.service.requests import AvatarInputs, VideoInputs
from core.web.pages.client_jobs import finished
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.widgets import photo_input, picture_input, speech_input, video_output

PROCESS = (
    "Makes a talking-head video. audio: a recording of speech, or None with a text. image: a photo or a video with a face. "
    "engine: auto, or an engine's name. "
    "size: shorter side of the video in pixels, or source. seed: of blinks and nods. face: which face, 0 is the largest. "
    "consent: the person shown agreed (needed where the deployment says so). text: what is said, plain or SSML, instead of a recording. "
    "voice: of the text, its id as /list_voices tells it, or empty for the default. speed: of the text, 0.5 to 2. "
    "aspect: auto, 1:1, 9:16, 16:9, 4:5 or source. crop: left, top, width, height of the part that is shown, in shares of the picture's "
    "width and height, such as 0.1,0,0.8,0.9, or empty. burn_captions: the words are drawn into the picture while they are said. "
    "background: a picture behind the person (lite engine), or None. "
    "landmarks: where a face is that is not found (lite engine): left eye, right eye, left and right corner of the mouth, lips and chin as "
    "x,y in shares of the photo's width and height, such as 0.38,0.38 0.71,0.45 0.45,0.90 0.68,0.90 0.57,0.92 0.57,0.99, or empty. "
    "Returns an mp4 file."
)
PROCESS_OPTIMIZED = (
    "Makes a talking-head video of a photo, a video or a registered avatar. audio: a recording of speech, or None with a text. "
    "image: a photo or a video, or None with a token. "
    "token: of an avatar from /preload_avatar, or empty. options: by name, such as "
    '{"engine": "auto", "preset": "fast", "size": 320, "aspect": "9:16", "crop": [0.1, 0, 0.8, 0.9], '
    '"seed": 1234 or "random", "face_index": 0, "landmarks": null or [[x, y], ...], "blink": 1.0, "head_motion": 1.0, '
    '"mouth": 1.0, "smile": 0.3, "gaze_x": 0.0, "gaze_y": 0.0, "emo": "happy", "burn_captions": false, "visemes": false, '
    '"consent": true}; '
    "an option that the engine does not honour is refused. "
    "text: what is said, plain or SSML, instead of a recording. voice: of the text, its id as /list_voices tells it, or empty for the "
    "default. speed: of the text, 0.5 to 2. background: a picture behind the person, or None; what else may be there is an option. "
    "Returns an mp4 file, and what is known about it: engine and why, cache_hit, first_frame_ms, "
    "rtf, seed, warnings, sync_offset_ms and sync_confidence (how well the lips fit), and more; of a text also its voice; captions "
    "(WebVTT) of a text, and of a recording where there is a recogniser; and visemes where they are asked for."
)
PRELOAD_AVATAR = (
    "Registers a person, so that later videos of them start at once. image: a photo or a video with a face. name: for your own list. "
    "consent: the person agreed to being animated (needed where the deployment says so). face: which face, 0 is the largest. "
    "landmarks: where a face is that is not found, as for /process_talking_head. "
    "Returns a token for /process_talking_head_optimized, which is good for you alone, and a picture of the face. "
    "Clients keep their avatars under an X-Owner-Key header of at least 16 characters that they made up; "
    "without one they last as long as the client."
)
CLEAR_CACHE = 'Deletes your own "avatars", "results", the "speech" of texts or "all". Returns the freed bytes.'
LIST_VOICES = (
    "The voices that speak texts, the default first: id, name, language, sample_rate_hz, licence, natural, synthesiser, installed."
)
LIST_AVATARS = "Your avatars, the newest first: token, name, kind, width, height, face, landmarks, created (Unix time), bytes."
DELETE_AVATAR = "Deletes one of your avatars by its token, and every video made of it. Returns the freed bytes."
CACHE_STATS = "Of each cache: hits, misses, entries, bytes, evictions; and the queue. Of the whole service, not of one visitor."
HEALTH = "Whether the service is live and ready, its engines, the loaded ones, and the queue."


def build_process(context: Context) -> None:
    """`/process_talking_head`. Its components type the endpoint. Only an app that loads this one (`gr.load`) shows them."""
    texts = context.texts
    with gr.Column(visible=False):
        audio, image = speech_input(texts), photo_input(texts)
        engine, size = gr.Textbox("auto", label="engine"), gr.Textbox(str(RenderOptions.size), label="size")
        seed, face = gr.Number(RenderOptions.seed, label="seed"), gr.Number(Framing.face_index, label="face")
        consent = gr.Checkbox(False, label="consent")
        text, voice, speed = gr.Textbox("", label="text"), gr.Textbox("", label="voice"), gr.Number(1.0, label="speed")
        aspect, crop = gr.Textbox(RenderOptions.aspect, label="aspect"), gr.Textbox("", label="crop")
        burned = gr.Checkbox(False, label="burn_captions")
        background, landmarks = picture_input("background"), gr.Textbox("", label="landmarks")
        video = video_output(texts)

        async def process_talking_head(
            audio: str | None = None,
            image: str | None = None,
            engine: str = "auto",
            size: str = str(RenderOptions.size),
            seed: float | None = RenderOptions.seed,
            face: float | None = Framing.face_index,
            consent: bool = False,
            text: str = "",
            voice: str = "",
            speed: float | None = 1.0,
            aspect: str = RenderOptions.aspect,
            crop: str = "",
            burn_captions: bool = False,
            background: str | None = None,
            landmarks: str = "",
            request: gr.Request = None,  # Gradio fills it in
            progress: gr.Progress = gr.Progress(),  # noqa: B008  # how Gradio is told that the function reports
        ) -> str:
            options = {"size": size, "seed": RenderOptions.seed if seed is None else seed, "face_index": face}
            options |= {"aspect": str(aspect or RenderOptions.aspect), "crop": str(crop or ""), "burn_captions": burn_captions is True}
            options |= {"landmarks": str(landmarks or "")}
            inputs = VideoInputs(
                uploaded(audio), uploaded(image), engine=str(engine), options=options, consent=consent is True,
                **_said(text, voice, speed), captions=False, background=uploaded(background),
            )  # fmt: skip
            return str((await _video(context, inputs, request, progress)).video)

        given = [audio, image, engine, size, seed, face, consent, text, voice, speed, aspect, crop, burned, background, landmarks]
        _expose(process_talking_head, given, video, PROCESS)


def build_endpoints(context: Context) -> None:
    """All others."""
    service, texts = context.service, context.texts
    with gr.Column(visible=False):
        audio, image, token, options = speech_input(texts), photo_input(texts), gr.Textbox(""), gr.JSON({})
        text, voice, speed = gr.Textbox(""), gr.Textbox(""), gr.Number(1.0)
        background = picture_input("background")
        video, info = video_output(texts), gr.JSON()

        async def process_talking_head_optimized(
            audio: str | None = None,
            image: str | None = None,
            token: str = "",
            options: dict[str, Any] | None = None,
            text: str = "",
            voice: str = "",
            speed: float | None = 1.0,
            background: str | None = None,
            request: gr.Request = None,  # Gradio fills it in
            progress: gr.Progress = gr.Progress(),  # noqa: B008
        ) -> tuple[str, dict[str, Any]]:
            if not isinstance(options, dict | None):
                problem = type(options).__name__
                raise OptionError(f"The options are a {problem}.", code="bad_options", parameters={"problem": problem})
            given = dict(options or {})
            engine, consent = str(given.pop("engine", "auto")), given.pop("consent", False) is True
            inputs = VideoInputs(
                uploaded(audio), uploaded(image), str(token or "").strip(), engine, given, consent,
                **_said(text, voice, speed), background=uploaded(background),
            )  # fmt: skip
            job = await _video(context, inputs, request, progress)
            about = {} if job.info is None else job.info.to_dict()
            if job.voice:
                about |= {"voice": job.voice}
            if job.voice or job.captions:
                about |= {"captions": webvtt(job.captions) if job.captions else ""}
            if (visemes := job.visemes) is not None:
                about |= {"visemes": await asyncio.to_thread(lambda: json.loads(visemes.read_text("utf-8")))}
            return str(job.video), about

        asked = [audio, image, token, options, text, voice, speed, background]
        _expose(process_talking_head_optimized, asked, [video, info], PROCESS_OPTIMIZED)

        name, consent, face, landmarks = gr.Textbox(""), gr.Checkbox(False), gr.Number(Framing.face_index), gr.Textbox("")
        preview = photo_input(texts, interactive=False)
        new_token = gr.Textbox()

        async def preload_avatar(
            image: str | None,
            name: str = "",
            consent: bool = False,
            face: float | None = Framing.face_index,
            landmarks: str = "",
            request: gr.Request = None,
            progress: gr.Progress = gr.Progress(),  # noqa: B008
        ) -> tuple[str, str]:
            owner = owner_of_request(request)
            options = {"face_index": face, "landmarks": str(landmarks or "")}
            inputs = AvatarInputs(uploaded(image), str(name or ""), options=options, consent=consent is True)
            job = await finished(service.jobs, service.requests.avatar(inputs, owner, kept=False), _told(context, progress))
            picture = service.avatars.thumbnail(str(job.avatar), owner)
            return str(job.avatar), str(service.outputs.new_file("preview.jpg", picture, owner))

        _expose(preload_avatar, [image, name, consent, face, landmarks], [new_token, preview], PRELOAD_AVATAR)

    def clear_cache(which: str = "all", request: gr.Request = None) -> int:
        return service.avatars.clear(which, owner_of_request(request))

    def list_voices() -> list[dict[str, Any]]:
        return [offer.to_dict() for offer in service.speaker.offers()]

    def list_avatars(request: gr.Request) -> list[dict[str, Any]]:
        return [about(avatar) for avatar in service.avatars.of(owner_of_request(request))]

    def delete_avatar(token: str, request: gr.Request) -> int:
        return service.avatars.delete(str(token).strip(), owner_of_request(request))

    def cache_stats() -> dict[str, Any]:
        return {**service.cache_stats(), "queue": service.queue()}

    def health() -> dict[str, Any]:
        health = {**service.studio.health(), "queue": service.queue()}
        for state in health["loading"].values():
            state["error"] = hide_paths(state["error"])
        return health

    words = {
        clear_cache: CLEAR_CACHE, list_voices: LIST_VOICES, list_avatars: LIST_AVATARS, delete_avatar: DELETE_AVATAR,
        cache_stats: CACHE_STATS, health: HEALTH,
    }  # fmt: skip
    for function, description in words.items():
        gr.api(function, api_name=function.__name__, api_description=description, concurrency_limit=None)


def about(avatar: Avatar) -> dict[str, Any]:
    """What its owner is told of an avatar, in plain JSON types."""
    return {
        "token": avatar.token,
        "name": avatar.name,
        "kind": avatar.kind,
        "width": avatar.width,
        "height": avatar.height,
        "face": avatar.framing.face_index,
        "landmarks": avatar.framing.landmarks,
        "created": avatar.created_s,
        "bytes": avatar.nbytes,
        "consent": avatar.consent,
        "warnings": list(avatar.warnings),
    }


def _said(text: str, voice: str, speed: float | None) -> dict[str, Any]:
    """Of VideoInputs; a text without anything in it is none."""
    text = str(text or "")
    return {"text": text if text.strip() else None, "voice": str(voice or "").strip(), "speed": 1.0 if speed is None else speed}


async def _video(context: Context, inputs: VideoInputs, request: gr.Request, progress: gr.Progress) -> JobView:
    """The finished job."""
    service = context.service
    accepting = service.requests.video(inputs, owner_of_request(request), kept=False)
    return await finished(service.jobs, accepting, _told(context, progress))


def _told(context: Context, progress: gr.Progress) -> Callable[[JobView], None]:
    def tell(job: JobView) -> None:
        progress((job.done, job.total or None), desc=context.texts.stages.get(job.stage, job.stage), unit="frames")

    return tell


def _expose(function: Callable[..., Any], inputs: list[Any], outputs: Any, description: str) -> None:
    gr.Button(visible=False).click(
        function, inputs, outputs, api_name=function.__name__, api_description=description, concurrency_limit=None
    )  # fmt: skip
