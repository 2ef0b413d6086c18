"""The Generate tab: person, speech and settings; then progress, the video and its figures. The job goes on when the page is left."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.errors import BusyError, TalkingHeadError
from core.service.errors import UnknownJob
from core.service.examples import Example
from core.service.job_store import UNENDED
from core.service.job_views import JobView
from core.service.requests import VideoInputs
from core.web.pages.error_texts import sentence
from core.web.pages.examples_html import examples_html
from core.web.pages.html import error_html, idle_html, note_html, notify_html, plain_html, progress_html, reading_html, result_html
from core.web.pages.scripts import script
from core.web.pages.sharing_html import download_html
from core.web.pages.speech_html import captions_html
from core.web.pages.tabs.clip import ClipInputs, clip_inputs, is_moving
from core.web.pages.tabs.common import Context, owner_of_request, person_of, uploaded
from core.web.pages.tabs.controls import ControlInputs, control_inputs, first_choice, honoured_controls
from core.web.pages.tabs.person import PersonInputs, cards_of, person_inputs, shown
from core.web.pages.tabs.speech_input import RECORDING, SpeechInputs, speech_inputs
from core.web.pages.tabs.still import follow_with_stills
from core.web.pages.texts import Texts
from core.web.pages.widgets import captions_board, kept_text, quiet, video_output


class GenerateTab:
    """person: who speaks. submitted: the event after which `followed` is to be asked, as after each change of the visitor's jobs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        texts = context.texts
        self._job, self._shown = kept_text(), kept_text()
        """The job that the page waits for, and the one whose video it shows."""
        with gr.Row(equal_height=False):
            with gr.Column(min_width=300):
                self.person = person_inputs(context)
                speech = speech_inputs(context)
                clip = clip_inputs(context)
                controls = control_inputs(context)
                consent = gr.Checkbox(False, label=texts.consent, container=False, visible=context.service.settings.require_consent)
                with gr.Row(elem_id="th-go"):
                    self._generate = gr.Button(texts.generate, variant="primary", elem_id="th-generate")
                    self._cancel = gr.Button(texts.cancel, variant="stop", visible=False, elem_id="th-cancel")
            with gr.Column(min_width=300, elem_id="th-result"):
                self._video = video_output(texts, autoplay=True, buttons=[], height=360, elem_id="th-video")
                self._status = gr.HTML(idle_html(texts), elem_id="th-status", elem_classes="th-html")
                gr.HTML(notify_html(texts), elem_classes="th-html")
                self._download = gr.HTML(visible=False, elem_id="th-download", elem_classes="th-html")
                self._captions = captions_board("th-captions", "#th-video")
                if context.contents.examples:
                    _examples(context.contents.examples, self.person, speech, texts)
                if context.service.settings.label:
                    gr.HTML(note_html(texts.label_note), elem_classes="th-html")
        self.person.picked.ask_anew(consent)
        follow_with_stills(context, self.person, controls)
        clip.follow_person(context, self.person, controls.of_photos)
        clip.follow_engine(controls.engine, context.service.studio)
        self._inputs = _Inputs(self.person, speech, clip, controls, consent)
        self._prepare_ahead()
        self.submitted = self._wire()

    def follows(self) -> list[Any]:
        """The components that `followed` reads."""
        return [self._job, self._shown]

    def outputs(self) -> list[Any]:
        """The components that `followed` updates."""
        return [self._job, self._shown, self._status, self._video, self._download, self._captions, self._generate, self._cancel]

    def inputs(self) -> list[Any]:
        """The components that `arrived` updates besides."""
        return self._inputs.outputs()

    def followed(self, owner: str, job_id: str, shown: str) -> list[Any]:
        """How the job stands that the page waits for, once it has ended; and whether the video is still there that it shows."""
        jobs = self._context.service.jobs
        if job_id:
            try:
                job = jobs.get(job_id, owner)
            except UnknownJob as error:
                return self._idle(error_html(self._context.texts, sentence(self._context.texts, error)))
            if job.ended or job.watchable is not None:
                return self._ended(job, shown=shown)
        if shown and not self._is_there(shown, owner):
            status = gr.skip() if job_id else idle_html(self._context.texts)
            return [gr.skip(), "", status, None, gr.update(visible=False), "", gr.skip(), gr.skip()]
        return [gr.skip()] * len(self.outputs())

    def arrived(self, owner: str, draft: Mapping[str, Any] | None = None, phone: bool = False) -> list[Any]:
        """For a page that was just opened: the job that is under way or else the last video, and with what it was asked for.

        draft: what had been put into the page before (`draft`), which is put in instead. phone: the visitor comes from one.
        """
        service, texts = self._context.service, self._context.texts
        done = next((video for video in service.videos.of(owner) if video.kind == "video"), None)
        under_way = next((job for job in service.jobs.of(owner, UNENDED, ("video",)) if job.client_state), None)
        if done is None:
            outputs = self._idle(idle_html(texts))
        else:
            outputs = self._ended(done, texts.results_again)
        if under_way is not None:
            busy = self._busy(under_way)
            outputs = [busy[0], outputs[1], busy[2], *outputs[3:6], *busy[6:]]
        last = under_way or done
        state = draft if draft is not None else last.client_state if last is not None else {}
        state = state or first_choice(service.page_size.px, phone)
        return [*outputs, *self._inputs.restored(state)]

    def reused_outputs(self) -> list[Any]:
        """The components that `reused` updates."""
        return [*self._inputs.outputs(), *(self.person.outputs() if self.person.cards is not None else ())]

    def reused(self, owner: str, state: Mapping[str, Any]) -> list[Any]:
        """With what another video was asked for. state: as `draft` made it."""
        avatars = cards_of(self._context.service.avatars, owner)
        person = shown(self._context.texts, avatars, str(state.get("avatar", ""))) if self.person.cards is not None else []
        return [*self._inputs.restored(state), *person]

    def draft_inputs(self) -> set[Any]:
        """The components that `draft` reads."""
        return self._inputs.components()

    def draft(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What the visitor has put in."""
        return self._inputs.state(values)

    def chosen_avatar(self, owner: str, draft: Mapping[str, Any] | None = None) -> str:
        """The token of the avatar in `draft`, or else of the one that speaks in the job that is under way; "" where there is none."""
        if draft is not None:
            return str(draft["avatar"])
        unended = self._context.service.jobs.of(owner, UNENDED, ("video",))
        return str(next((job.client_state.get("avatar", "") for job in unended if job.client_state), ""))

    def _is_there(self, job_id: str, owner: str) -> bool:
        try:
            return self._context.service.jobs.get(job_id, owner).watchable is not None
        except UnknownJob:
            return False

    def _idle(self, status: str) -> list[Any]:
        skip = gr.skip()
        return ["", skip, status, skip, skip, skip, gr.update(interactive=True), gr.update(visible=False)]

    def _busy(self, job: JobView) -> list[Any]:
        buttons = [gr.update(interactive=False), gr.update(visible=True, interactive=True)]
        skip = gr.skip()
        return [job.id, skip, progress_html(self._context.texts, job), skip, skip, skip, *buttons]

    def _ended(self, job: JobView, heading: str = "", shown: str = "") -> list[Any]:
        """Also of a job that goes on to find the words for the captions. shown: the job whose video is there already; it plays on."""
        texts, video = self._context.texts, job.watchable
        idle = self._idle("")
        if video is not None:
            try:
                if job.ended:  # another machine may have made it
                    self._context.service.jobs.with_files(job.id, job.owner)
            except (UnknownJob, BusyError) as error:
                return self._idle(error_html(texts, sentence(texts, error)))
            captions = captions_html(texts, job)
            download = gr.update(value=download_html(texts, job, person_of(self._context.service, job)), visible=True)
            said = result_html(texts, video.info, heading) + ("" if job.ended else note_html(texts.captions_coming))
            place = gr.skip() if shown == job.id else str(video.path)
            return ["" if job.ended else job.id, job.id, said, place, download, captions, *idle[6:]]
        if job.error is None or job.state == "cancelled":
            return self._idle(plain_html(texts.stopped))
        return self._idle(error_html(texts, sentence(texts, job.error)))

    def _wire(self) -> Any:
        context, texts = self._context, self._context.texts

        async def submit(values: dict[Any, Any], request: gr.Request) -> list[Any]:
            try:
                owner = owner_of_request(request)
                job = await context.service.requests.video(self._inputs.video_inputs(values, context, owner), owner)
            except Exception as error:
                said = sentence(texts, error)
                return self._idle(error_html(texts, said))
            return self._ended(job) if job.ended else self._busy(job)

        def stop(job_id: str, request: gr.Request) -> list[Any]:
            try:
                job = context.service.jobs.cancel(job_id, owner_of_request(request))
            except UnknownJob:
                return self._idle(plain_html(texts.stopped))
            if job.ended:
                return self._ended(job)
            skip = gr.skip()
            return [skip, skip, plain_html(texts.stopping), skip, skip, skip, skip, gr.update(interactive=False)]

        begun = json.dumps([reading_html(texts), gr.update(interactive=False)])
        self._generate.click(None, None, [self._status, self._generate], js=f"() => {begun}", **quiet())
        self._cancel.click(stop, self._job, self.outputs(), **quiet(queue=False))
        return self._generate.click(submit, self._inputs.components(), self.outputs(), **quiet(queue=False))

    def _prepare_ahead(self) -> None:
        """While the rest is put in, what the video needs of its person is made ready."""

        async def prepare(values: dict[Any, Any], request: gr.Request) -> None:
            owner = owner_of_request(request)
            with contextlib.suppress(TalkingHeadError):  # the video will say what is wrong
                inputs = self._inputs.video_inputs(values, self._context, owner)
                person = inputs.avatar or inputs.image
                if person and (inputs.avatar or inputs.consent or not self._context.service.settings.require_consent):
                    await self._context.service.preparations.of(person, owner, inputs.engine, inputs.options, inputs.background)

        for known in self.person.known:
            known.then(prepare, self._inputs.components(), None, **quiet(queue=False))
        self._inputs.consent.input(prepare, self._inputs.components(), None, **quiet(queue=False))


@dataclass(frozen=True)
class _Inputs:
    person: PersonInputs
    speech: SpeechInputs
    clip: ClipInputs
    controls: ControlInputs
    consent: Any

    def components(self) -> set[Any]:
        return {
            *self.person.components(),
            *self.speech.components(),
            *self.clip.components(),
            *self.controls.components(),
            self.consent,
        }

    def video_inputs(self, values: Mapping[Any, Any], context: Context, owner: str) -> VideoInputs:
        token, engine = str(values[self.person.token] or ""), str(values[self.controls.engine] or "auto")
        photo = values[self.person.picked.photo]
        moving = is_moving(context, token, photo, owner)
        honoured = honoured_controls(context.service.studio, engine, moving)
        options = self.controls.options(values, honoured) | self.clip.options(values, honoured, moving) | self.speech.options(values)
        if not token:
            options = {**self.person.picked.options(values), **options}
        image = None if token else uploaded(photo)
        said, consent = self.speech.given(values), values[self.consent] is True
        state = self.state(values)
        return VideoInputs(
            **said, image=image, avatar=token, engine=engine, options=options, consent=consent, client_state=state, preview=True,
            background=self.controls.background.checked_file(values, honoured),
        )  # fmt: skip

    def state(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What was put in, so that `restored` can put it in again."""
        return {
            **self.person.chosen(values),
            **self.speech.chosen(values),
            "consent": values[self.consent] is True,
            "clip": self.clip.chosen(values),
            "controls": self.controls.chosen(values),
        }

    def outputs(self) -> list[Any]:
        return [*self.person.picked.outputs(), *self.speech.outputs(), self.consent, *self.clip.outputs(), *self.controls.outputs()]

    def restored(self, state: Mapping[str, Any]) -> list[Any]:
        """Updates of `outputs`. state: as `video_inputs` made it, {} for a job from elsewhere; files that are gone are left out."""
        return [
            *self.person.picked.restored(state),
            *self.speech.restored(state),
            gr.update(value=state["consent"]) if "consent" in state else gr.skip(),
            *self.clip.restored(state.get("clip", {})),
            *self.controls.restored(state.get("controls", {})),
        ]


def _examples(examples: Sequence[Example], person: PersonInputs, speech: SpeechInputs, texts: Texts) -> None:
    """Cards that put example files into the inputs."""
    board = gr.HTML(examples_html(texts, examples), js_on_load=script("examples.js"), elem_id="th-examples", elem_classes="th-html")

    def choose(token: str, event: gr.EventData) -> tuple[Any, Any, Any]:
        name = str(event._data.get("key", ""))
        chosen = next((example for example in examples if example.name == name), None)
        if chosen is None:
            return gr.skip(), gr.skip(), gr.skip()
        return gr.skip() if token else str(chosen.photo), RECORDING, str(chosen.speech)

    outputs = [person.picked.photo, speech.kind, speech.recording]
    chosen = board.select(choose, person.token, outputs, **quiet(queue=False))
    chosen.then(None, None, None, js="() => window.talkingHeadChosen()", **quiet())
