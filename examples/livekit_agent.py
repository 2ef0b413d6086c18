#!/usr/bin/env python3
"""An agent with a face, in one process: its AgentSession says a recording here, and whatever else it says goes the same way.

    ./setup.sh livekit && .venv/bin/python examples/livekit_agent.py assets/portrait.png assets/speech_7s.wav

With LIVEKIT_URL and LIVEKIT_TOKEN (of an agent) it joins that room; without, it counts what the room would be given.
"""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.utils.audio import audio_frames_from_file
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from core.media.image import load_image
from core.settings import Settings, read_settings
from core.studio import open_studio
from integrations.livekit.receivers import QueueReceiver
from integrations.livekit.video_generator import LiveVideoGenerator, live_options


async def push(generator: LiveVideoGenerator, output: QueueReceiver) -> None:
    async for frame in output:
        await generator.push_audio(frame)


async def count(generator: LiveVideoGenerator, output: QueueReceiver) -> None:
    given: Counter[str] = Counter()
    async for frame in generator:
        given[type(frame).__name__] += 1
        if isinstance(frame, AudioSegmentEnd):
            output.notify_playback_finished(given["AudioFrame"] / generator.options.video_fps, False)
            sys.stdout.write(f"{dict(given)}\n")


async def main(photo: str, speech: str) -> None:
    studio, room, url = open_studio(settings := read_settings(Settings)), rtc.Room(), os.environ.get("LIVEKIT_URL")
    generator = LiveVideoGenerator(studio.live(load_image(Path(photo), settings), "local", live=live_options()))
    session = AgentSession()
    session.output.audio = output = QueueReceiver(generator)
    if url:
        await room.connect(url, os.environ["LIVEKIT_TOKEN"])
        runner = AvatarRunner(room, audio_recv=output, video_gen=generator, options=generator.options)
        generator.attach(runner.av_sync)
        await runner.start()
    else:  # what a runner does; it needs a room
        tasks = [asyncio.create_task(each(generator, output)) for each in (push, count)]
    await session.start(Agent(instructions=""))
    await session.say("A recording.", audio=audio_frames_from_file(speech))
    await session.aclose()
    await generator.aclose()
    await (runner.aclose() if url else tasks[1])
    studio.close()


asyncio.run(main(*sys.argv[1:3]))
