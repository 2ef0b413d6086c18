"""A person who speaks or listens, as a stream to an RTMP server and as a camera of this machine (docs/broadcast.md)."""
