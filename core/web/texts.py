"""Every sentence the pages say, in one table. Another language is another `Texts`; the type checker sees to it that it is whole.

Placeholders are named (`{frames}`) and filled with `str.format`. Plain text: whoever puts it into HTML escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """The words of a page; one instance per language."""

    # what stands on the page
    title: str
    subtitle: str
    photo: str
    speech: str
    options: str
    engine: str
    engine_auto: str
    engine_named: str
    size: str
    size_hint: str
    size_square: str
    size_source: str
    seed: str
    seed_hint: str
    seed_random: str
    face: str
    face_hint: str
    generate: str
    cancel: str
    video: str
    download: str
    examples: str
    example: str
    idle: str

    # while it works
    stages: dict[str, str]
    waiting: str
    frames: str
    rate: str
    left_seconds: str
    left_minutes: str
    stopping: str
    stopped: str

    # what came out
    result_engine: str
    result_time: str
    result_rtf: str
    result_first_frame: str
    result_loading: str
    result_video: str
    result_seed: str
    note: str

    # what can be wrong
    error: str
    no_photo_no_speech: str
    no_photo: str
    no_speech: str
    upload_gone: str
    not_uploaded: str
    no_addresses: str
    bad_size: str
    bad_size_hint: str
    bad_whole_number: str
    bad_whole_number_hint: str
    busy: str
    busy_hint: str
    unexpected: str

    # the API page
    api_process: str


ENGLISH = Texts(
    title="Talking Head",
    subtitle="One photo and one recording become a video of the person speaking.",
    photo="Photo",
    speech="Speech",
    options="More options",
    engine="Engine",
    engine_auto="automatic",
    engine_named="{name}",
    size="Video size",
    size_hint="Side of the square in pixels, cut around the face",
    size_square="{px} × {px}",
    size_source="the photo's own size",
    seed="Seed",
    seed_hint="The same seed blinks and nods the same way",
    seed_random="A new seed each time",
    face="Face number",
    face_hint="If there are several: 0 is the largest",
    generate="Generate",
    cancel="Cancel",
    video="Video",
    download="Download",
    examples="Try an example",
    example="Portrait, {seconds} s of speech",
    idle="Add a photo with one clear face, then a recording of speech. The video appears here.",
    stages={
        "reading": "Reading the files",
        "queued": "Waiting",
        "loading": "Loading the engine",
        "registering": "Finding the face",
        "animating": "Animating",
        "finishing": "Finishing the video",
        "done": "Done",
    },
    waiting="place {position} in the queue",
    frames="{done} of {total} frames",
    rate="{fps:.0f} frames/s",
    left_seconds="{seconds} s left",
    left_minutes="{minutes} min left",
    stopping="Stopping …",
    stopped="Cancelled. Nothing was kept.",
    result_engine="{engine} engine ({reason})",
    result_time="{audio_s:.1f} s of speech in {wall_s:.1f} s",
    result_rtf="RTF {rtf:.2f}",
    result_first_frame="first frame after {ms:.0f} ms",
    result_loading="{seconds:.1f} s of loading before",
    result_video="{width} × {height}",
    result_seed="seed {seed}",
    note="Note: {warning}",
    error="That did not work",
    no_photo_no_speech="A photo and a recording are missing. Add both, then press Generate.",
    no_photo="The photo is missing. Upload one or take one with the camera.",
    no_speech="The recording is missing. Upload one or record it with the microphone.",
    upload_gone="The uploaded file {name} is no longer here: uploads are kept for a limited time. Add it again.",
    not_uploaded="A file that was named was not uploaded here. Upload it first (the Gradio client does so with handle_file).",
    no_addresses="Web addresses are not accepted. Upload the file itself.",
    bad_size="The size is {value}.",
    bad_size_hint='It must be a number of pixels, or "source".',
    bad_whole_number="The {name} is {value}.",
    bad_whole_number_hint="It must be a whole number.",
    busy="Busy: {waiting} videos are waiting already.",
    busy_hint="Try again in a minute.",
    unexpected="Something went wrong here, not with your files. It was logged. Try again, and tell whoever runs this page if it stays.",
    api_process=(
        "Makes a talking-head video. audio: a recording of speech. image: a photo with a face. engine: auto, or an engine's name. "
        "size: side of the video in pixels, or source. seed: of blinks and nods. face: which face, 0 is the largest. Returns an mp4 file."
    ),
)
