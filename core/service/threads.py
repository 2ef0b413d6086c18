"""Work on threads that is waited for, whatever happens to who asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def on_thread(function: Callable[..., T], *arguments: object) -> T:
    """As asyncio.to_thread, but a cancelled caller goes on only when the function has ended: a thread cannot be stopped, and what bounds
    how many there are must not count it as gone while it holds its memory.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:  # asked again: the answer is the same
                continue
        if not work.cancelled():
            work.exception()  # nobody is left to be told
        raise
