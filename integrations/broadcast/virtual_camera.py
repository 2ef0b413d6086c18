"""A camera of this machine (Linux, v4l2loopback): other programs see what is written to its device.

Structures and numbers are those of linux/videodev2.h, for 64-bit machines.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from core.errors import OptionError, OutputError
from core.types import Frame
from integrations.broadcast.moments import Moment

QUERYCAP, S_FMT = 0x80685600, 0xC0D05605
"""VIDIOC_QUERYCAP, VIDIOC_S_FMT."""
CAPABILITY = struct.Struct("=16s32s32s6I")
FORMAT = struct.Struct("=I4x12I152x")
OUTPUT_TYPE, FIELD_NONE, SRGB = 2, 1, 8
"""V4L2_BUF_TYPE_VIDEO_OUTPUT; progressive; colours as of web cameras: sRGB, as BT.601 in limited range."""
CAN_OUTPUT, HAS_DEVICE_CAPS = 0x2, 0x80000000
YUYV = int.from_bytes(b"YUYV", "little")
_BT601, _LIMITED_RANGE = 5, 1
_LOAD = "Load the module: sudo modprobe v4l2loopback exclusive_caps=1 (docs/broadcast.md)."


class VirtualCamera:
    """path: of a device of v4l2loopback. width, height: of the pictures, pixels, even.

    Raises OutputError where there is no such device, another program writes to it, or it does not take pictures of this size.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self.state = str(path)
        self._path, self._size = path, (width, height)
        self._reformatter = VideoReformatter()
        try:
            self._device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            hint = _LOAD if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV) else "Are you in the group video, and is it free?"
            raise OutputError(f"The camera {path} cannot be opened: {error.strerror}.", hint) from error
        try:
            self._check_output()
            self._set_format()
        except BaseException:
            self.close()
            raise

    def put(self, moment: Moment) -> None:
        """Raises OutputError where the device is gone."""
        try:
            os.write(self._device, yuyv(self._reformatter, moment.picture))
        except BlockingIOError:  # nobody has taken the one before
            return
        except OSError as error:
            raise OutputError(f"The camera {self._path} takes no more pictures: {error.strerror}.", _LOAD) from error

    def close(self) -> None:
        os.close(self._device)

    def _check_output(self) -> None:
        answer = self._ask(QUERYCAP, bytes(CAPABILITY.size), "is no video device")
        *_, capabilities, device_caps, _, _, _ = CAPABILITY.unpack(answer)
        if not (device_caps if capabilities & HAS_DEVICE_CAPS else capabilities) & CAN_OUTPUT:
            raise OutputError(f"{self._path} is a camera that gives pictures and takes none.", _LOAD)

    def _set_format(self) -> None:
        width, height = self._size
        line = 2 * width
        wanted = FORMAT.pack(OUTPUT_TYPE, width, height, YUYV, FIELD_NONE, line, line * height, SRGB, 0, 0, 0, 0, 0)
        answer = FORMAT.unpack(self._ask(S_FMT, wanted, f"does not take pictures of {width}x{height}"))
        if answer[1:4] != (width, height, YUYV):
            text = f"{self._path} is set to pictures of {answer[1]}x{answer[2]}, and these have {width}x{height}."
            raise OutputError(text, "End the programs that watch it, or choose its size.")

    def _ask(self, request: int, given: bytes, problem: str) -> bytes:
        try:
            return fcntl.ioctl(self._device, request, given)
        except OSError as error:
            raise OutputError(f"{self._path} {problem}: {error.strerror}.", _LOAD) from error


def yuyv(reformatter: VideoReformatter, picture: Frame) -> bytes:
    """picture: (H, W, 3) uint8 RGB, W even. Packed 4:2:2, two bytes a pixel, BT.601, limited range."""
    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
    packed = reformatter.reformat(frame, format="yuyv422", dst_colorspace=_BT601, dst_color_range=_LIMITED_RANGE)
    return bytes(packed.to_ndarray().tobytes())


def camera_path(name: str) -> Path:
    """Raises OptionError for what is no device's path."""
    path = Path(name)
    if not name.startswith("/dev/"):
        raise OptionError(f"{name} is neither an address nor a camera.", "Give rtmp://HOST/APPLICATION/KEY or /dev/videoN.")
    return path
