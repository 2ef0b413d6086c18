"""What a video says about itself: that it is synthetic, made by what and when; and, where a key is configured, a signature over it.

disclosure.py   the words, for container and manifest
signing.py      embeds a signed C2PA manifest into a finished file
reading.py      reads and verifies all of it again (`python -m core.provenance FILE`)
"""
