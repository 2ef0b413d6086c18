"""The avatar of a voice agent built on LiveKit: in the agent's process, or as a worker of its own (docs/livekit.md)."""
