"""The settings of a video: those that the chosen engine honours are shown, and handed on by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.engines.capabilities import CAPABILITIES, DITTO, LITE, LITE_PHOTO_ONLY, PHOTO_ONLY
from core.errors import EngineUnavailable, OptionError
from core.options import EMOTION_NAMES, PRESETS
from core.picture_options import ASPECTS
from core.request import CONTROL_RANGES, Controls, RenderOptions
from core.studio import Studio
from core.web.pages.html import note_html
from core.web.pages.tabs.background import BackgroundInputs, background_inputs
from core.web.pages.tabs.common import Context
from core.web.pages.widgets import quiet

_OF_LITE, _OF_DITTO = LITE - DITTO, DITTO - LITE
"""What one of them alone honours: its settings are shown where something of it is."""
SIZES = (256, 320, 384, 512, 768)
SQUARE, PORTRAIT = "1:1", "9:16"


def first_choice(size_px: int, phone: bool) -> dict[str, Any]:
    """What is set for a visitor who has chosen nothing yet (`GenerateTab.arrived`): portrait videos on a phone. size_px: side of a square
    one; a portrait one has as many pixels, where they are enough, since it must not take longer.
    """
    if not phone:
        return {"controls": {"size": str(size_px)}}
    shorter = round(size_px * math.sqrt(ASPECTS[PORTRAIT]) / 2) * 2
    return {"controls": {"size": str(min(size_px, max(shorter, int(RenderOptions.size)))), "aspect": PORTRAIT}}


@dataclass(frozen=True)
class ControlInputs:
    """The components of the settings. background: what is behind the person. by_name: of the controls that a name of `core.options` stands
    for. sliders: those of them that move the face. of_photos: the rows of those that a video has no use for. still: where a picture shows
    what they do. fold: what holds them.
    """

    engine: Any
    size: Any
    aspect: Any
    seed: Any
    new_seed: Any
    background: BackgroundInputs
    by_name: Mapping[str, Any]
    sliders: Mapping[str, Any]
    of_photos: Sequence[Any]
    still: Any
    fold: Any

    def components(self) -> set[Any]:
        return {self.engine, self.size, self.aspect, self.seed, self.new_seed, *self.background.components(), *self.by_name.values()}

    def chosen(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What is set, so that `restored` can set it again."""
        return {**{name: values[component] for name, component in self._named().items()}, **self.background.chosen(values)}

    def restored(self, chosen: Mapping[str, Any]) -> list[Any]:
        """Updates of `outputs`."""
        own = [gr.update(value=chosen[name]) if name in chosen else gr.skip() for name in self._named()]
        return [*own, *self.background.restored(chosen)]

    def outputs(self) -> list[Any]:
        return [*self._named().values(), *self.background.outputs()]

    def _named(self) -> dict[str, Any]:
        named = {"engine": self.engine, "size": self.size, "aspect": self.aspect, "seed": self.seed, "new_seed": self.new_seed}
        return {**named, **self.by_name}

    def options(self, values: Mapping[Any, Any], honoured: frozenset[str]) -> dict[str, Any]:
        """Options by name from the components' values; those that nobody changed, or that the engine does not honour, are left out."""
        seed = values[self.seed]
        options: dict[str, Any] = {
            "size": values[self.size],
            **self.background.options(values, honoured),
            "seed": "random" if values[self.new_seed] else RenderOptions.seed if seed is None else seed,
        }
        aspect = values[self.aspect] or SQUARE
        if aspect != SQUARE or options["size"] == "source":  # else it is a square by itself
            options["aspect"] = aspect
        for name, component in self.by_name.items():
            value = values[component]
            needs = "sampling_timesteps" if name == "preset" else name
            if needs in honoured and value not in (None, "") and value != getattr(Controls, name, None):
                options[name] = value
        return options


def honoured_controls(studio: Studio, engine: str, moving: bool = False) -> frozenset[str]:
    """What the engine that would serve `engine` (also "auto") honours; nothing where none can. moving: of a video."""
    try:
        name = studio.choose_engine(engine)[0]
        return CAPABILITIES[name] - PHOTO_ONLY[name] if moving else CAPABILITIES[name]
    except (OptionError, EngineUnavailable):
        return frozenset()


def control_inputs(context: Context) -> ControlInputs:
    """The settings in a fold. Changing the engine shows its own."""
    studio, texts = context.service.studio, context.texts
    names = studio.engines.names
    honoured = honoured_controls(studio, "auto")
    with gr.Accordion(texts.options, open=False, elem_id="th-options") as fold:
        with gr.Row():
            named = [(texts.engine_named.format(name=name), name) for name in names]
            named = [(texts.engine_auto, "auto"), *named]
            engine = gr.Dropdown(named, value="auto", label=texts.engine, info=texts.engine_hint, min_width=170)
            sides = [(texts.size_px.format(px=px), str(px)) for px in SIZES]
            size = gr.Dropdown(
                [*sides, (texts.size_source, "source")],
                value=str(RenderOptions.size),
                label=texts.size,
                info=texts.size_hint,
                allow_custom_value=True,  # any size the options allow may be typed
                min_width=170,
            )
        aspects = [(label, value) for value, label in texts.picture["aspects"].items()]
        aspect = gr.Dropdown(
            aspects, value=SQUARE, label=texts.picture["aspect"], info=texts.picture["aspect_hint"], min_width=170
        )
        aspect.change(None, aspect, None, js="(aspect) => window.talkingHeadPart.aspect(aspect)", **quiet())
        with gr.Group(visible=bool(honoured & _OF_LITE)) as lite:
            background = background_inputs(context, "th")
            with gr.Row(equal_height=False):
                still = gr.HTML(visible=False, elem_id="th-still", elem_classes="th-html", min_width=150)
                with gr.Column(scale=3, min_width=260):
                    sliders, of_photos = _sliders(context)
        if context.contents.everything or "ditto" in names:
            offered = "ditto" in names
            with gr.Group(visible=bool(honoured & _OF_DITTO) or not offered) as ditto:
                choices = _ditto_choices(context, offered)
        else:
            ditto, choices = None, {}
        with gr.Row():
            seed = gr.Number(RenderOptions.seed, label=texts.seed, info=texts.seed_hint, min_width=140)
        new_seed = gr.Checkbox(False, label=texts.seed_random, container=False)
    if len(names) > 1:  # nothing to show and hide with one engine

        def shown(name: str) -> list[Any]:
            can = honoured_controls(studio, name)
            return [gr.update(visible=bool(can & _OF_LITE)), gr.update(visible=bool(can & _OF_DITTO))]

        engine.change(shown, engine, [lite, ditto], **quiet(queue=False))
    return ControlInputs(engine, size, aspect, seed, new_seed, background, {**sliders, **choices}, sliders, of_photos, still, fold)


def _sliders(context: Context) -> tuple[dict[str, Any], list[Any]]:
    """The sliders by name, and the rows of those that are for photos only."""
    texts = context.texts
    words = {
        "blink": (texts.blink, texts.blink_hint),
        "head_motion": (texts.head_motion, texts.head_motion_hint),
        "mouth": (texts.mouth, texts.mouth_hint),
        "smile": (texts.smile, texts.smile_hint),
        "gaze_x": (texts.gaze_x, texts.gaze_x_hint),
        "gaze_y": (texts.gaze_y, texts.gaze_y_hint),
    }
    sliders, of_photos = {}, []
    for names in (("blink", "head_motion"), ("gaze_x", "gaze_y"), ("mouth", "smile")):
        with gr.Row() as row:
            if LITE_PHOTO_ONLY.issuperset(names):
                of_photos.append(row)
            for name in names:
                low, high = CONTROL_RANGES[name]
                label, hint = words[name]
                sliders[name] = gr.Slider(
                    low, high, getattr(Controls, name), step=0.1, label=label, info=hint, min_width=140, elem_id=f"th-{name}"
                )
    return sliders, of_photos


def _ditto_choices(context: Context, offered: bool) -> dict[str, Any]:
    texts = context.texts
    if not offered:
        gr.HTML(note_html(texts.ditto_needs_gpu), elem_classes="th-html th-inset", elem_id="th-needs-gpu")
    with gr.Row():
        presets = [(texts.preset_none, ""), *((texts.presets[name], name) for name in PRESETS)]
        emotions = [(texts.emotion_none, ""), *((texts.emotions[name], name) for name in EMOTION_NAMES)]
        preset = gr.Dropdown(presets, value="", label=texts.preset, info=texts.preset_hint, interactive=offered, min_width=170)
        emotion = gr.Dropdown(emotions, value="", label=texts.emotion, info=texts.emotion_hint, interactive=offered, min_width=170)
    return {"preset": preset, "emo": emotion}
