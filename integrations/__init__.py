"""Live sessions over protocols and platforms of others: WebRTC, LiveKit, Pipecat, RTMP, virtual cameras. Nothing in core/ imports them."""
