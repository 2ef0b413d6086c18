"""Warnings about a photo or a recording: the sentence of each by its code, and the code of a sentence again.

A warning is told, kept and sent as its English sentence; pages find out its code and parameters and say it in their own words.
"""

from __future__ import annotations

import functools
import re
import string
from typing import Literal, get_args

NoticeCode = Literal[
    "face_small", "crop_small", "face_turned", "face_blurred", "face_dark", "mouth_covered", "eyes_not_seen", "sound_cut_short",
    "sound_cut_off", "sound_clipped", "sound_silent", "sound_quiet", "sound_noisy", "video_cut", "video_hdr", "video_interlaced",
    "background_mute", "crop_moved", "background_kept", "frames_skipped", "sync_unlike", "sync_still", "sync_face_lost", "sync_late",
    "sync_early", "captions_failed", "transcript_unlike", "photo_first_picture", "photo_turned",
]  # fmt: skip

_SENTENCES: dict[NoticeCode, str] = {
    "face_small": "The face is small ({px} pixels between the eyes): a larger or closer picture looks sharper.",
    "crop_small": "The face is small (about {px} pixels): a larger or closer picture looks sharper.",
    "face_turned": "The head is turned {degrees} degrees to the side: a picture from the front animates better.",
    "face_blurred": "The face is blurred: a sharper picture gives a sharper video.",
    "face_dark": "The face is dark: a picture in more light shows it better.",
    "mouth_covered": "The mouth seems to be covered: a picture without a mask or a hand before it is needed for lips that move.",
    "eyes_not_seen": "Nothing like eyes is seen at their points: they will not blink.",
    "sound_cut_off": "The recording is damaged or cut off; the {used} s that could be read are used.",
    "sound_cut_short": "The recording is damaged or cut off; the {used} s of {total} s that could be read are used.",
    "sound_clipped": "The sound is clipped (too loud when it was recorded): a lower recording level gives better lips.",
    "sound_silent": "The recording is silent: the mouth stays closed.",
    "sound_quiet": "The recording is very quiet ({db} dB): move closer to the microphone or raise its level.",
    "sound_noisy": "There seems to be much background noise or music: the lips follow clear speech best.",
    "video_cut": "Only the first {seconds} seconds of the video are used.",
    "video_hdr": "The video is HDR: its light was mapped to what an ordinary screen shows.",
    "video_interlaced": "The video is interlaced: its frames were put together of two halves each (deinterlaced).",
    "background_mute": "The video has no sound that could be kept under the speech.",
    "background_kept": "The person could not be told from the background: it was kept as it is.",
    "captions_failed": "The words of the recording could not be found: it has no captions.",
    "transcript_unlike": "The transcript does not fit the recording, or is not in English: the lips follow the sound alone.",
    "photo_first_picture": "The file holds several pictures: the first is used.",
    "photo_turned": "The person lies or stands on the head in the photo: it was turned upright.",
    "sync_unlike": "The lips may not follow this sound (confidence {confidence}, by chance up to {least}): music, noise or several voices "
    "in the recording make speech hard to follow.",
    "sync_still": "The lips hardly move with the speech (confidence {confidence}, by chance up to {least}): the mouth may be covered, or "
    "too small.",
    "sync_face_lost": "Whether the lips fit the speech is not known (confidence {confidence}, by chance up to {least}): the face is seldom "
    "seen.",
    "sync_late": "The lips are {ms} ms later than the sound.",
    "sync_early": "The lips are {ms} ms earlier than the sound.",
    "frames_skipped": "{seconds} of {total} seconds show the video as it was: no face that can be animated is there.",
    "crop_moved": "The crop left out the face: it was moved to keep the face in.",
}
CODES: tuple[NoticeCode, ...] = get_args(NoticeCode)


def notice(code: NoticeCode, **parameters: str) -> str:
    """The sentence. parameters: those its code has, as they are shown."""
    return _SENTENCES[code].format(**parameters)


def read_notice(sentence: str) -> tuple[NoticeCode, dict[str, str]] | None:
    """Code and parameters of a sentence that `notice` made; None for any other."""
    for code in CODES:
        if found := _pattern(code).fullmatch(sentence):
            return code, found.groupdict()
    return None


@functools.cache
def _pattern(code: NoticeCode) -> re.Pattern[str]:
    parts = string.Formatter().parse(_SENTENCES[code])
    return re.compile("".join(re.escape(text) + (f"(?P<{name}>.{{1,80}}?)" if name else "") for text, name, _, _ in parts))
