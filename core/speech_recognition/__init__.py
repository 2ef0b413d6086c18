"""Recordings become words with their times."""
