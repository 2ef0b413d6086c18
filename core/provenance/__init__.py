"""Disclosure and provenance of a video: metadata that says it is synthetic, and an optional signature over the file.

disclosure.py   the words, for container and manifest
signing.py      embeds a signed C2PA manifest into a finished file
marking.py      what a deployment marks its pictures with, so that it cannot be seen (drawn by core/media/mark.py)
reading.py      reads and verifies metadata and manifest again (`python -m core.provenance FILE`)
mark_reading.py looks for the mark in the pictures (mark_detection.py)
"""
