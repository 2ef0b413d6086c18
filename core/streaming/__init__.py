"""Video while it is being made: whole recordings as a stream of pieces, and live sessions that answer speech with video.

A whole recording (`recording.py`): `Studio.stream` queues a job and returns an iterator of `Segment`s.

    with studio.stream(request) as stream:
        first = next(stream)                           # kind "init"; from now on stream.mime_type is known
        for segment in stream: send(segment.data)      # kind "media": 0.2 s, 0.4 s, 0.8 s, 1.6 s, then 2 s; the last is `final`
    info = stream.job.result()                         # GenerationInfo; first_frame_ms is that of the first media piece

All `data` one after the other are a fragmented MP4 with the frames and samples of `Studio.generate`. Errors of the job come out of `next`;
`close`, from any thread, stops the job. `next` blocks: an event loop calls it on a thread.

Live (`live.py`): `Studio.live` loads and registers on the calling thread, then gives a `LiveSession`.

    live = studio.live(avatar, owner, options=RenderOptions(label=True, mark=True), live=LiveOptions())
    live.feed(pcm16_bytes, 16_000)                     # any thread, any size, any rate; False: no room now
    live.end_of_utterance(); live.interrupt(); live.set_controls(Controls(...)); live.close()
    while not live.closed:
        output = live.next_output(timeout_s=1.0)       # one thread; computes what is due, so call it all the time
        # LiveEvent(kind, generation, at_s, data)       as in outputs.EventKind
        # LiveSegment(segment, generation, speaking)   the "init" piece comes first; or, with LiveOptions(output="frames"):
        # LiveFrame(frame, sound, generation, at_s, speaking, n_speech, n_over)    or, with "pictures":
        # LivePicture(data, sound, generation, at_s, speaking)    JPEG; or, with "packets":
        # LivePacket(picture, sound, key, generation, at_s, speaking)    H.264 and Opus, for WebRTC

After `interrupt` returns generation g nothing older than g is handed out. A reader that stops for long loses idle frames, never speech, and
the video's time (`Segment.start_s`, at_s) stands still meanwhile. A client that comes back within the session's life is given
`live.initialisation` again, and `live.request_keyframe()` makes the next segment one that playing can start with.
"""

from __future__ import annotations

from core.media.segments import Segment
from core.streaming.live import LiveSession
from core.streaming.outputs import LiveEvent, LiveFrame, LiveOptions, LiveOutput, LivePacket, LivePicture, LiveSegment

__all__ = [
    "LiveEvent", "LiveFrame", "LiveOptions", "LiveOutput", "LivePacket", "LivePicture", "LiveSegment", "LiveSession",
    "Segment",
]  # fmt: skip
