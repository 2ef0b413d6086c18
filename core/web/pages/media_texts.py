"""What the pages say of photos, recordings and options: tables by code, which the type checker keeps whole in every language."""

from __future__ import annotations

from typing import TypedDict


class MediaErrors(TypedDict):
    """By the code of an error, filled with its parameters."""

    photo_too_large: str
    photo_too_small: str
    photo_is_recording: str
    photo_not_image: str
    photo_damaged: str
    video_damaged: str
    frames_too_large: str
    not_a_video: str
    video_codec: str
    photos_only: str
    videos_only: str
    photo_option: str
    face_none: str
    face_missing: str
    face_negative: str
    face_cut_off: str
    face_without_eyes: str
    landmarks_count: str
    landmarks_point: str
    landmarks_order: str
    landmarks_lips: str
    landmarks_near_eyes: str
    landmarks_near_mouth: str
    landmarks_near_chin: str
    landmarks_far_eyes: str
    landmarks_far_mouth: str
    landmarks_and_face: str
    landmarks_not_honoured: str
    landmarks_video: str
    video_without_face: str
    recording_is_photo: str
    recording_not_sound: str
    recording_mute: str
    recording_bad_format: str
    recording_damaged: str
    recording_too_long: str
    recording_too_short: str
    recording_empty: str
    file_empty: str
    option_not_honoured: str
    preset_not_honoured: str
    option_out_of_range: str
    bad_choice: str
    size_out_of_range: str
    bad_aspect: str
    bad_crop: str
    bad_background: str
    unknown_preset: str
    unknown_option: str
    not_a_number: str
    engine_not_offered: str
    engine_not_fetched: str
    too_many_avatars: str
    unknown_avatar: str
    avatar_damaged: str
    name_too_long: str
    consent_missing_avatar: str


class NoticeTexts(TypedDict):
    """By the code of a warning (core/notices.py), filled with its parameters."""

    face_small: str
    crop_small: str
    face_turned: str
    face_blurred: str
    face_dark: str
    mouth_covered: str
    eyes_not_seen: str
    sound_cut_off: str
    sound_cut_short: str
    sound_clipped: str
    sound_silent: str
    sound_quiet: str
    sound_noisy: str
    video_cut: str
    video_hdr: str
    video_interlaced: str
    background_mute: str
    frames_skipped: str
    crop_moved: str
    background_kept: str
    captions_failed: str
    transcript_unlike: str
    photo_first_picture: str
    photo_turned: str
    sync_unlike: str
    sync_still: str
    sync_face_lost: str
    sync_late: str
    sync_early: str
