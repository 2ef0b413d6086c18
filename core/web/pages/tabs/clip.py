"""How a video of a person is played under the speech: shown where a video, or the avatar of one, is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.errors import AvatarError
from core.media.sniff import is_video_file
from core.request import RenderOptions
from core.studio import Studio
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.tabs.controls import honoured_controls
from core.web.pages.tabs.person import PersonInputs
from core.web.pages.widgets import quiet


@dataclass(frozen=True)
class ClipInputs:
    """by_name: the components by the name of their option. place: what holds them."""

    by_name: Mapping[str, Any]
    place: Any

    def components(self) -> set[Any]:
        return set(self.by_name.values())

    def options(self, values: Mapping[Any, Any], honoured: frozenset[str], moving: bool) -> dict[str, Any]:
        """By name, of the components' values; without those that nobody changed, or that the engine does not honour. {} of a photo."""
        chosen = {name: values[component] for name, component in self.by_name.items() if moving and name in honoured}
        return {name: value for name, value in chosen.items() if value not in (None, getattr(RenderOptions, name))}

    def chosen(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What is set, so that `restored` can set it again."""
        return {name: values[component] for name, component in self.by_name.items()}

    def restored(self, chosen: Mapping[str, Any]) -> list[Any]:
        """Updates of `outputs`."""
        return [gr.update(value=chosen[name]) if name in chosen else gr.skip() for name in self.by_name]

    def outputs(self) -> list[Any]:
        return list(self.by_name.values())

    def offered(self, honoured: frozenset[str]) -> list[Any]:
        """Updates of `outputs`: only what the engine honours is shown."""
        return [gr.update(visible=name in honoured) for name in self.by_name]

    def follow_person(self, context: Context, person: PersonInputs, of_photos: Sequence[Any] = ()) -> None:
        """They come and go with a person that moves. of_photos: what goes and comes then, since a video has no use for it."""

        def shown(token: str, photo: str | None, request: gr.Request) -> dict[Any, Any]:
            moving = is_moving(context, str(token or ""), photo, owner_of_request(request))
            return {self.place: gr.update(visible=moving), **{each: gr.update(visible=not moving) for each in of_photos}}

        for changed in (person.token, person.picked.photo):
            changed.change(shown, [person.token, person.picked.photo], [self.place, *of_photos], **quiet())

    def follow_engine(self, engine: Any, studio: Studio) -> None:
        """engine: the component by which one is chosen."""
        engine.change(lambda chosen: self.offered(honoured_controls(studio, str(chosen))), engine, self.outputs(), **quiet(queue=False))


def is_moving(context: Context, token: str, photo: str | None, owner: str) -> bool:
    """Whether the person that is chosen is one of a video. token: of an avatar; "" where `photo`, an upload, is meant."""
    if token:
        try:
            return context.service.studio.avatar(token, owner).kind == "video"
        except AvatarError:  # deleted meanwhile
            return False
    file = uploaded(photo)
    return file is not None and is_video_file(file)  # the picture that stands for it, or the video while there is none yet


def clip_inputs(context: Context, name: str = "th") -> ClipInputs:
    """The settings, not shown yet. name: what the id of their place begins with."""
    texts, honoured = context.texts.picture, honoured_controls(context.service.studio, "auto")
    with gr.Column(visible=False, elem_id=f"{name}-clip", elem_classes="th-plain-column") as place:
        with gr.Row():
            longer = _choice(texts["longer"], texts["longer_ways"], RenderOptions.longer)
            shorter = _choice(texts["shorter"], texts["shorter_ways"], RenderOptions.shorter)
        with gr.Row():
            rates: list[tuple[str, str | int]] = [(texts["fps_usual"], RenderOptions.fps), (texts["fps_source"], "source")]
            fps = gr.Dropdown(rates, value=RenderOptions.fps, label=texts["fps"], min_width=170, visible="fps" in honoured)
            label, hint = texts["keep_background"], texts["keep_background_hint"]
            background = gr.Slider(0, 1, RenderOptions.keep_background, step=0.05, label=label, info=hint, min_width=170)
    return ClipInputs({"longer": longer, "shorter": shorter, "fps": fps, "keep_background": background}, place)


def _choice(label: str, ways: Mapping[str, str], first: str) -> Any:
    return gr.Dropdown([(said, value) for value, said in ways.items()], value=first, label=label, min_width=170)
