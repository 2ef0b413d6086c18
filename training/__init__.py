"""Trains Ditto's motion model on a folder of videos (docs/training.md). Stands beside `core/`, which knows nothing of it."""
