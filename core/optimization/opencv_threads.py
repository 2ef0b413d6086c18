"""Keeps OpenCV's work on the thread that asks for it."""

from __future__ import annotations

import cv2


def use_one_opencv_thread() -> None:
    """From now on, in this process, OpenCV starts no threads.

    Frames are small: a resize is over before another thread has begun, which then waits for more on a core that the encoder needs.
    """
    cv2.setNumThreads(1)
