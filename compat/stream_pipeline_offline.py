"""The published module of this name: see `ditto_stream_sdk`."""

from ditto_stream_sdk import StreamSDK, run

__all__ = ["StreamSDK", "run"]
