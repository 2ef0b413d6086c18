"""Every sentence the pages say, in one table. Another language is another `Texts`; the type checker sees to it that it is whole.

Placeholders are named (`{frames}`) and filled with `str.format`. Plain text: whoever puts it into HTML escapes it. Errors without a code
are English in every language: what only programs can do wrong has none.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.web.pages.chat_texts import ChatTexts
from core.web.pages.hand_texts import HandTexts
from core.web.pages.live_texts import LiveTexts, PlayerTexts
from core.web.pages.media_texts import MediaErrors, NoticeTexts
from core.web.pages.picture_texts import PictureTexts
from core.web.pages.sharing_texts import SharingTexts
from core.web.pages.videos_texts import VideosTexts


@dataclass(frozen=True)
class Texts:
    """The words of a page; one instance per language. language: two letters. language_name: in that language. decimal: the mark before
    decimals."""

    language: str
    language_name: str
    decimal: str

    # what stands on the page
    title: str
    subtitle: str
    page_loads: str
    needs_scripts: str
    tab_generate: str
    tab_stream: str
    tab_avatars: str
    tab_results: str
    tab_about: str
    person: str
    new_photo: str
    photo: str
    faces_one: str
    faces_several: str
    face_named: str
    photo_unusable: str
    recording_unusable: str
    speech: str
    options: str
    engine: str
    engine_hint: str
    engine_auto: str
    engine_named: str
    size: str
    size_hint: str
    size_px: str
    size_source: str
    seed: str
    seed_hint: str
    seed_random: str
    blink: str
    blink_hint: str
    head_motion: str
    head_motion_hint: str
    mouth: str
    mouth_hint: str
    smile: str
    smile_hint: str
    gaze_x: str
    gaze_x_hint: str
    gaze_y: str
    gaze_y_hint: str
    ditto_needs_gpu: str
    preset: str
    preset_hint: str
    preset_none: str
    presets: dict[str, str]
    emotion: str
    emotion_hint: str
    emotion_none: str
    emotions: dict[str, str]
    generate: str
    cancel: str
    video: str
    preview: str
    download: str
    sharing: SharingTexts
    example_photo: str
    examples: str
    example: str
    example_names: dict[str, str]
    idle: str
    label_note: str

    # avatars
    avatars_intro: str
    avatar_name: str
    avatar_name_hint: str
    consent: str
    register: str
    registered: str
    avatars_yours: str
    avatars_none: str
    avatar_use: str
    avatar_rename: str
    avatar_renamed: str
    avatar_delete: str
    avatar_delete_sure: str
    avatar_deleted: str
    avatar_nothing_chosen: str
    avatar_unnamed: str

    # stream
    stream_intro: str
    stream_play: str
    stream_stop: str
    stream_kept: str
    stream_waiting: str
    stream_first: str

    # speech from a text
    speech_recording: str
    speech_text: str
    text: str
    text_hint: str
    text_count: str
    voice: str
    voice_label: str
    voice_machine: str
    languages: dict[str, str]
    speed: str
    listen: str
    listen_voice: str
    listen_stop: str
    listening: str
    listened: str
    speech_missing: str
    captions: str
    captions_show: str
    captions_get: str
    captions_burn: str
    transcript: str
    transcript_hint: str
    captions_coming: str
    captions_recording: str

    # chat
    chat: ChatTexts

    # live, and the buttons beneath videos
    live: LiveTexts
    player: PlayerTexts

    # what can be done with a past video
    videos: VideosTexts

    # the picture of the video
    picture: PictureTexts
    hand: HandTexts

    # results
    results_none: str
    results_intro: str
    results_again: str
    results_ago: str
    results_refresh: str
    results_delete: str
    results_delete_sure: str
    results_deleted: str

    # about: what runs here, and Ditto's checkpoints
    ready_loading: str
    load_stages: dict[str, str]
    ready_lite_meanwhile: str
    about_now: str
    about_engines: str
    about_loaded: str
    about_nothing_loaded: str
    about_device: str
    about_queue: str
    about_queue_is: str
    about_caches: str
    stat_names: dict[str, str]
    about_disclosure_title: str
    about_disclosure: str
    detect_title: str
    detect_hint: str
    detect_file: str
    detect_looking: str
    detect_yes: str
    detect_no: str
    detect_mark: str
    detect_mark_found: str
    detect_mark_id: str
    detect_mark_absent: str
    detect_metadata: str
    detect_metadata_states: dict[bool, str]
    detect_manifest: str
    detect_manifest_states: dict[str, str]
    about_api_title: str
    about_api: str
    clear_mine: str
    clear_mine_hint: str
    cleared: str
    ditto_title: str
    ditto_about: str
    ditto_get: str
    ditto_cancel: str
    ditto_size: str
    ditto_running: str
    ditto_present: str
    ditto_failed: str

    # microphone, camera, and uploads
    device_denied: str
    device_missing: str
    device_busy: str
    device_insecure: str
    device_or_file: str
    uploading: str
    upload_broken: str

    # while it works
    stages: dict[str, str]
    waiting: str
    frames: str
    rate: str
    left_seconds: str
    left_minutes: str
    notify: str
    notify_done: str
    stopping: str
    stopped: str

    # what came out
    result_made: str
    result_known: str
    details: str
    result_engine: str
    reasons: dict[str, str]
    result_time: str
    result_cached: str
    result_rtf: str
    result_first_frame: str
    result_loading: str
    result_video: str
    result_seed: str
    result_sync: str
    result_label: str
    note: str

    # what can be wrong; errors: by the code of a TalkingHeadError, filled with its parameters; option_names: in them
    error: str
    not_uploaded: str
    no_addresses: str
    unexpected: str
    option_names: dict[str, str]
    errors: dict[str, str]

    # what is wrong with a photo, a recording or an option, by its code
    media_errors: MediaErrors
    notices: NoticeTexts
