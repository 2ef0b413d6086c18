"""Disclosure and provenance of a video: metadata that says it is synthetic, and an optional signature over the file.

disclosure.py   the words, for container and manifest
signing.py      embeds a signed C2PA manifest into a finished file
reading.py      reads and verifies all of it again (`python -m core.provenance FILE`)
"""
