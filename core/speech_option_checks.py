"""Which options need to know what is said: apart from the other checks, for the fonts that it needs."""

from __future__ import annotations

from core.errors import OptionError
from core.media.burned_captions import BurnedCaptions
from core.request import RenderOptions
from core.types import Audio, AudioStream


def check_speech_options(options: RenderOptions, audio: Audio | AudioStream) -> None:
    """Raises OptionError where captions are to be drawn and the words are not known, and for a transcript that nobody has aligned yet: the
    studio draws from the phones of the `Audio`.
    """
    if options.burn_captions and isinstance(audio, Audio):
        BurnedCaptions.check(audio.words)
    if options.transcript:
        raise OptionError(
            "A transcript is given, and it was not aligned with its recording.",
            "Align it (core.service.transcripts.with_transcript), and leave the option out.",
        )  # fmt: skip
