"""The avatar of a bot built on Pipecat, drawn by this project's server (docs/pipecat.md). Imports nothing of core/."""
