"""Adapters of the live session to platforms where others build talking agents. Nothing in core/ imports them."""
