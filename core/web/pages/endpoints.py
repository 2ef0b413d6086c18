"""The Gradio API: endpoints with stable names, typed and described. Errors reach the client as messages that name the problem."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import gradio as gr

from core.errors import OptionError
from core.service.requests import Wish, hide_paths
from core.service.tickets import Snapshot
from core.types import Avatar, Framing, Generation, RenderOptions
from core.web.pages.tabs.common import Context, visitor
from core.web.pages.widgets import photo_input, speech_input, video_output

PROCESS = (
    "Makes a talking-head video. audio: a recording of speech. image: a photo with a face. engine: auto, or an engine's name. "
    "size: side of the video in pixels, or source. seed: of blinks and nods. face: which face, 0 is the largest. "
    "consent: the person shown agreed (needed where the deployment says so). Returns an mp4 file."
)
PROCESS_OPTIMIZED = (
    "Makes a talking-head video of a photo or a registered avatar. audio: a recording of speech. image: a photo, or None with a token. "
    "token: of an avatar from /preload_avatar, or empty. options: by name, such as "
    '{"engine": "auto", "preset": "fast", "size": 320, "seed": 1234 or "random", "face_index": 0, "blink": 1.0, "head_motion": 1.0, '
    '"mouth": 1.0, "gaze_x": 0.0, "gaze_y": 0.0, "emo": "happy", "consent": true}; an option that the engine does not honour is refused. '
    "Returns an mp4 file, and what is known about it: engine and why, cache_hit, first_frame_ms, rtf, seed, warnings and more."
)
PRELOAD_AVATAR = (
    "Registers a person, so that later videos of them start at once. image: a photo with a face. name: for your own list. consent: the "
    "person agreed to being animated (needed where the deployment says so). face: which face, 0 is the largest. Returns a token for "
    "/process_talking_head_optimized, which is good for you alone, and a picture of the face. Clients keep their avatars under an "
    "X-Owner-Key header of at least 16 characters that they made up; without one they last as long as the client."
)
CLEAR_CACHE = 'Deletes your own "avatars", "results" or "all". Returns the freed bytes.'
LIST_AVATARS = "Your avatars, the newest first: token, name, kind, width, height, face, created (Unix time), bytes."
DELETE_AVATAR = "Deletes one of your avatars by its token, and every video made of it. Returns the freed bytes."
CACHE_STATS = "Of each cache: hits, misses, entries, bytes, evictions; and the queue. Of the whole service, not of one visitor."
HEALTH = "Whether the service is live and ready, its engines, the loaded ones, and the queue."


def build_process(context: Context) -> None:
    """`/process_talking_head`. Its components are never shown; they type the endpoint."""
    texts = context.texts
    with gr.Column(visible=False):
        audio, image = speech_input(texts), photo_input(texts)
        engine, size = gr.Textbox("auto"), gr.Textbox(str(RenderOptions.size))
        seed, face, consent = gr.Number(RenderOptions.seed), gr.Number(Framing.face_index), gr.Checkbox(False)
        video = video_output(texts)

        async def process_talking_head(
            audio: str | None,
            image: str | None,
            engine: str,
            size: str,
            seed: float | None,
            face: float | None,
            consent: bool,
            request: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008  # how Gradio is told that the function reports
        ) -> str:
            options = {"size": size, "seed": RenderOptions.seed if seed is None else seed, "face_index": face}
            wish = Wish(audio, image, engine=engine, options=options, consent=consent is True)
            return str((await _served(context, wish, request, progress)).path)

        _expose(process_talking_head, [audio, image, engine, size, seed, face, consent], video, PROCESS)


def build_endpoints(context: Context) -> None:
    """All others."""
    desk, shelf, texts = context.desk, context.shelf, context.texts
    with gr.Column(visible=False):
        audio, image, token, options = speech_input(texts), photo_input(texts), gr.Textbox(""), gr.JSON({})
        video, info = video_output(texts), gr.JSON()

        async def process_talking_head_optimized(
            audio: str | None,
            image: str | None = None,
            token: str = "",
            options: dict[str, Any] | None = None,
            request: gr.Request = None,  # Gradio fills it in
            progress: gr.Progress = gr.Progress(),  # noqa: B008
        ) -> tuple[str, dict[str, Any]]:
            if not isinstance(options, dict | None):
                raise OptionError(texts.bad_options.format(problem=type(options).__name__), texts.bad_options_hint)
            given = dict(options or {})
            engine, consent = str(given.pop("engine", "auto")), given.pop("consent", False) is True
            wish = Wish(audio, image, str(token or "").strip(), engine, given, consent)
            generation = await _served(context, wish, request, progress)
            return str(generation.path), generation.info.to_dict()

        _expose(process_talking_head_optimized, [audio, image, token, options], [video, info], PROCESS_OPTIMIZED)

        name, consent, face = gr.Textbox(""), gr.Checkbox(False), gr.Number(Framing.face_index)
        preview = photo_input(texts, interactive=False)
        new_token = gr.Textbox()

        async def preload_avatar(
            image: str | None,
            name: str = "",
            consent: bool = False,
            face: float | None = Framing.face_index,
            request: gr.Request = None,
            progress: gr.Progress = gr.Progress(),  # noqa: B008
        ) -> tuple[str, str]:
            steps = shelf.register(image, str(name or ""), face, consent is True, visitor(request), texts)
            avatar: Avatar = await _last(steps, context, progress)
            return avatar.token, str(desk.outputs.new_file("preview.jpg", desk.studio.thumbnail(avatar.token, avatar.owner)))

        _expose(preload_avatar, [image, name, consent, face], [new_token, preview], PRELOAD_AVATAR)

    def clear_cache(which: str = "all", request: gr.Request = None) -> int:
        return shelf.clear(which, visitor(request).owner, texts)

    def list_avatars(request: gr.Request) -> list[dict[str, Any]]:
        return [about(avatar) for avatar in shelf.avatars(visitor(request).owner)]

    def delete_avatar(token: str, request: gr.Request) -> int:
        return shelf.delete(str(token).strip(), visitor(request).owner)

    def cache_stats() -> dict[str, Any]:
        return desk.studio.stats()

    def health() -> dict[str, Any]:
        health = desk.studio.health()
        for state in health["loading"].values():
            state["error"] = hide_paths(state["error"])
        return health

    words = {clear_cache: CLEAR_CACHE, list_avatars: LIST_AVATARS, delete_avatar: DELETE_AVATAR, cache_stats: CACHE_STATS, health: HEALTH}
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
        "created": avatar.created_s,
        "bytes": avatar.nbytes,
        "consent": avatar.consent,
        "warnings": list(avatar.warnings),
    }


async def _served(context: Context, wish: Wish, request: gr.Request, progress: gr.Progress) -> Generation:
    steps = context.desk.serve(wish, visitor(request), context.texts)
    generation: Generation = await _last(steps, context, progress)
    return generation


async def _last(steps: Any, context: Context, progress: gr.Progress) -> Any:
    """What the iterator ends with, its snapshots told as progress.

    Not a generator, because a client's `result()` is the first value of one.
    """
    async with aclosing(steps):
        async for step in steps:
            if not isinstance(step, Snapshot):
                return step
            progress((step.done, step.total or None), desc=context.texts.stages.get(step.stage, step.stage), unit="frames")
    raise AssertionError("the desk ended without a result")


def _expose(function: Callable[..., Any], inputs: list[Any], outputs: Any, description: str) -> None:
    gr.Button(visible=False).click(
        function, inputs, outputs, api_name=function.__name__, api_description=description, concurrency_limit=None
    )  # fmt: skip
