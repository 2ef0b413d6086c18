"""Video while it is being made: whole recordings out in pieces, and live speech in, live video out.

A whole recording (`recording.py`): `Studio.stream` queues a job and returns an iterator of `Segment`s.

    stream = studio.stream(request)
    first = next(stream)                        # the "init" piece, at once; then stream.mime_type is known
    for segment in stream: send(segment.data)   # "media" pieces: 0.2 s, 0.4 s, 0.8 s, 1.6 s, then 2 s; the last is `final`
    stream.close()                              # at any time: stops the job

All `data` one after the other are a fragmented MP4 with the frames and samples of `Studio.generate`. Errors of the job come out of `next`.
"""
