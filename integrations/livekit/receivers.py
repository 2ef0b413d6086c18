"""Where the agent's speech comes from, with the position told as it was heard when speech is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from livekit import rtc
from livekit.agents.voice.avatar import AudioReceiver, DataStreamAudioReceiver, QueueAudioOutput

from integrations.livekit.video_generator import LiveVideoGenerator

CLEAR_BUFFER = "lk.clear_buffer"


class _HeardPositions(AudioReceiver):
    """The runner counts what it put into the room's queue; of interrupted speech the rest of that queue was never heard."""

    generator: LiveVideoGenerator

    def notify_playback_finished(self, playback_position: float, interrupted: bool) -> None | Coroutine[None, None, None]:
        if interrupted:
            playback_position = max(0.0, playback_position - self.generator.unheard_s)
        return super().notify_playback_finished(playback_position, interrupted)  # type: ignore[safe-super]


class StreamReceiver(_HeardPositions, DataStreamAudioReceiver):
    """Speech from an agent in the room. sender_identity: of the agent; None for the first one in the room."""

    def __init__(self, room: rtc.Room, generator: LiveVideoGenerator, sender_identity: str | None = None) -> None:
        super().__init__(room, sender_identity=sender_identity)
        self.generator = generator

    def _register_clear_buffer_rpc(  # type: ignore[override]
        self, room: rtc.Room, *, caller_identity: str, handler: Callable[[rtc.RpcInvocationData], str]
    ) -> None:
        """For this room alone: the package has one table for all rooms of a process, in which agents of one name replace each other."""
        room.local_participant.register_rpc_method(CLEAR_BUFFER, handler)


class QueueReceiver(_HeardPositions, QueueAudioOutput):
    """Speech of an agent in this process: the audio output that its session is given."""

    def __init__(self, generator: LiveVideoGenerator) -> None:
        super().__init__(sample_rate=generator.options.audio_sample_rate, wait_playback_start=True)
        self.generator = generator
