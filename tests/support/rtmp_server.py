"""RTMP servers for the tests: FFmpeg itself, which listens for one stream, and nginx, which records all that come."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from tests.support.serving import wait_for

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
"""Of Debian's libnginx-mod-rtmp."""
LISTEN = """
import av, contextlib, sys
listening = {"listen": "1", "listen_timeout": "30"}
with contextlib.suppress(OSError), av.open(sys.argv[1], options=listening) as taken, open(sys.argv[2], "wb", 0) as kept:
    with av.open(kept, "w", format="flv") as copy:
        copies = {stream: copy.add_stream_from_template(stream) for stream in taken.streams}
        copy.metadata.update(taken.metadata)
        for packet in taken.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                copy.mux(packet)
"""
CONFIGURATION = """
user root;
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{}}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; record all; record_path {folder}; record_unique on; }} }} }}
"""


def listening(port: int, kept: Path) -> subprocess.Popen[bytes]:
    """A server for one stream, which it writes to `kept`."""
    return subprocess.Popen([sys.executable, "-c", LISTEN, f"rtmp://127.0.0.1:{port}/live/key", str(kept)])


class Nginx:
    """Records each stream into a file of `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._configuration = folder / "nginx.conf"
        self._configuration.write_text(CONFIGURATION.format(module=MODULE, folder=folder, port=port))
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(["nginx", "-c", str(self._configuration), "-p", str(self.folder)])
        wait_for(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def hang(self) -> None:
        """It is there and takes nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    @property
    def recordings(self) -> list[Path]:
        return sorted(self.folder.glob("*.flv"))


@dataclass(frozen=True)
class Recorded:
    """codecs: of pictures and sound. metadata: of the file. pictures, sounds: seconds at which packets begin. keys: those of pictures that
    playing can begin at.
    """

    codecs: dict[str, str]
    metadata: dict[str, str]
    pictures: np.ndarray
    sounds: np.ndarray
    keys: np.ndarray


def read(path: Path) -> Recorded:
    times: dict[str, list[float]] = {"video": [], "audio": []}
    keys = []
    with av.open(str(path)) as file:
        metadata = dict(file.metadata)
        codecs = {stream.type: stream.codec_context.name for stream in file.streams}
        for packet in file.demux():
            if packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
                if packet.stream.type == "video" and packet.is_keyframe:
                    keys.append(times["video"][-1])
    return Recorded(codecs, metadata, *(np.array(each) for each in (times["video"], times["audio"], keys)))
