"""A self-hosted talking head as the avatar of a LiveKit agent."""

from livekit.agents import Plugin
from livekit.plugins.talkinghead.avatar import AvatarSession, TalkingHeadError
from livekit.plugins.talkinghead.log import logger
from livekit.plugins.talkinghead.version import __version__

__all__ = ["AvatarSession", "TalkingHeadError", "__version__"]


class TalkingHeadPlugin(Plugin):
    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(TalkingHeadPlugin())
