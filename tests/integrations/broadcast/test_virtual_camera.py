"""The virtual camera as far as there is no device: what the kernel is asked and given, the pixels, and every way in which it is refused."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from core.errors import OptionError, OutputError
from integrations.broadcast import virtual_camera
from integrations.broadcast.moments import SAMPLES, Moment
from integrations.broadcast.virtual_camera import CAPABILITY, FORMAT, QUERYCAP, S_FMT, VirtualCamera, camera_path, yuyv

SILENCE = np.zeros(SAMPLES, np.float32)


class Kernel:
    """Answers as v4l2loopback does; capabilities and the size that it insists on can be changed."""

    def __init__(self) -> None:
        self.capabilities, self.device_caps, self.size = 0x85200003, 0x05200002, (0, 0)
        self.asked: list[tuple[int, bytes]] = []

    def ioctl(self, device: int, request: int, given: bytes) -> bytes:
        self.asked.append((request, given))
        if request == QUERYCAP:
            assert len(given) == 104
            return CAPABILITY.pack(b"v4l2 loopback", b"Dummy", b"platform", 0x60000, self.capabilities, self.device_caps, 0, 0, 0)
        assert request == S_FMT
        assert len(given) == 208
        fields = list(FORMAT.unpack(given))
        fields[1:3] = self.size if self.size[0] else fields[1:3]
        return FORMAT.pack(*fields)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(virtual_camera.fcntl, "ioctl", kernel.ioctl)
    return kernel


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "video10"
    path.touch()
    return path


def test_pictures_are_written_as_packed_yuv(kernel: Kernel, device: Path) -> None:
    camera = VirtualCamera(device, 64, 48)
    kind, width, height, fourcc, field, line, nbytes, *_ = FORMAT.unpack(kernel.asked[1][1])
    assert (kind, width, height, struct.pack("<I", fourcc), field, line, nbytes) == (2, 64, 48, b"YUYV", 1, 128, 6144)
    for red in (0, 255):
        camera.put(Moment(np.full((48, 64, 3), (red, 0, 0), np.uint8), SILENCE, False))
    camera.close()
    assert device.stat().st_size == 2 * 6144


def test_colours_are_those_of_web_cameras() -> None:
    """BT.601 in limited range: black 16, white 235; red has the luma 81, and 90 and 240 as colour differences."""
    for rgb, luma, blue, red in (((0, 0, 0), 16, 128, 128), ((255, 255, 255), 235, 128, 128), ((255, 0, 0), 81, 90, 240)):
        packed = np.frombuffer(yuyv(VideoReformatter(), np.full((4, 6, 3), rgb, np.uint8)), np.uint8).reshape(4, 6, 2)
        assert np.abs(packed[..., 0].astype(int) - luma).max() <= 2
        assert np.abs(packed[:, ::2, 1].astype(int) - blue).max() <= 2
        assert np.abs(packed[:, 1::2, 1].astype(int) - red).max() <= 2


def test_a_device_that_is_not_there_says_what_to_load(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file") as caught:
        VirtualCamera(tmp_path / "video10", 64, 48)
    assert "v4l2loopback" in caught.value.hint


def test_a_file_is_no_video_device(device: Path) -> None:
    with pytest.raises(OutputError, match="is no video device"):
        VirtualCamera(device, 64, 48)


def test_a_camera_that_films_takes_no_pictures(kernel: Kernel, device: Path) -> None:
    kernel.device_caps = 0x05200001
    with pytest.raises(OutputError, match="gives pictures and takes none"):
        VirtualCamera(device, 64, 48)


def test_a_size_that_others_have_set_is_told(kernel: Kernel, device: Path) -> None:
    kernel.size = 1280, 720
    with pytest.raises(OutputError, match="set to pictures of 1280x720, and these have 64x48"):
        VirtualCamera(device, 64, 48)


def test_a_device_that_goes_away_ends_it(kernel: Kernel, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = VirtualCamera(device, 64, 48)

    def gone(*_: Any) -> int:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(virtual_camera.os, "write", gone)
    with pytest.raises(OutputError, match="takes no more pictures: No such device"):
        camera.put(Moment(np.zeros((48, 64, 3), np.uint8), SILENCE, False))


def test_only_devices_are_cameras() -> None:
    assert camera_path("/dev/video10") == Path("/dev/video10")
    with pytest.raises(OptionError, match="neither an address nor a camera"):
        camera_path("out.mp4")


def test_the_numbers_are_those_of_the_kernel() -> None:
    """_IOR and _IOWR of linux/ioctl.h: direction, size of the structure, "V", number."""
    assert (2 << 30 | CAPABILITY.size << 16 | ord("V") << 8 | 0) == QUERYCAP
    assert (3 << 30 | FORMAT.size << 16 | ord("V") << 8 | 5) == S_FMT
