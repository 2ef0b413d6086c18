#!/usr/bin/env python3
"""A bot with a face: says a recording where a speech service would speak, and saves the last picture in which it did.

    ./setup.sh pipecat && .venv-pipecat/bin/python examples/pipecat_bot.py assets/portrait.png assets/speech_7s.wav picture.png

Needs a Talking Head server (`python api_server.py`), and its key in TALKING_HEAD_KEY where it has keys.
"""

import asyncio
import os
import sys
import wave
from pathlib import Path

import aiohttp
from PIL import Image
from pipecat.frames.frames import EndFrame, Frame, OutputImageRawFrame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from integrations.pipecat.video import TalkingHeadVideoService

SERVER, KEY = os.environ.get("TALKING_HEAD_SERVER", "http://127.0.0.1:8000"), os.environ.get("TALKING_HEAD_KEY", "")


class Output(FrameProcessor):
    """In the place of a transport: Daily's, LiveKit's, SmallWebRTC's."""

    picture: Image.Image | None = None
    spoken_s = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputImageRawFrame):
            self.picture = Image.frombytes("RGB", frame.size, frame.image)
        elif isinstance(frame, TTSAudioRawFrame):
            self.spoken_s += frame.num_frames / frame.sample_rate
        await self.push_frame(frame, direction)


async def main(photo: str, speech: str, picture: str) -> None:
    async with aiohttp.ClientSession(SERVER, headers={"X-API-Key": KEY} if KEY else {}, raise_for_status=True) as client:
        answer = await client.post("/avatars", data={"image": Path(photo).open("rb")})
        avatar = TalkingHeadVideoService(server=SERVER, key=KEY, avatar=(await answer.json())["token"], options={"label": True})
    worker, runner = PipelineWorker(Pipeline([avatar, output := Output()])), WorkerRunner()
    with wave.open(speech) as file:
        sound = TTSAudioRawFrame(file.readframes(file.getnframes()), file.getframerate(), file.getnchannels())
    await worker.queue_frames([sound, TTSStoppedFrame(), EndFrame()])
    await runner.add_workers(worker)
    await runner.run()
    output.picture.save(picture)
    sys.stdout.write(f"{picture}: the last of {output.spoken_s:.2f} s of speech\n")


asyncio.run(main(*sys.argv[1:4]))
