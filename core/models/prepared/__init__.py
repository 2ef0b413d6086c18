"""The inference forms of the networks, made by `core.models.inference`: same results, fewer operations."""
