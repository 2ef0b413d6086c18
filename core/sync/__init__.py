"""Measures whether the lips of a video fit its sound, and how far one is behind the other.

    from core.sync.report import measure
    measured = measure(Path("video.mp4"), Settings())
    measured.report.offset_ms, measured.report.confidence

The picture gives how far the lips are open and how wide the mouth is, frame by frame (`picture.py`, the face mesh); the sound gives what
lips that say this do (`sound.py`, the mouth networks of the lite engine). `correlation.py` shifts one against the other.
"""
