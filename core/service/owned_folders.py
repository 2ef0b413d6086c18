"""Names folders so that the name proves whose they are and cannot be guessed: for visitors' uploads and videos.

    root / folder_name(owner) / "photo.png"

No record is kept, so none can be lost: the second half of the name follows from the first and from the owner.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path

NONCE_BYTES, TAG_BYTES = 12, 12
NOBODY = ""
"""Who sends neither cookie nor key. What they have is known by its name alone, which nobody else can guess."""
UPLOAD = "upload-"
_NAME = re.compile(rf"(?:{UPLOAD})?([0-9a-f]{{{2 * NONCE_BYTES}}})([0-9a-f]{{{2 * TAG_BYTES}}})")


def folder_name(owner: str, prefix: str = "") -> str:
    """A new name: 96 random bits, and 96 bits of a hash of them and the owner; 48 hexadecimal digits. prefix: "" or UPLOAD."""
    nonce = secrets.token_hex(NONCE_BYTES)
    return prefix + nonce + _tag(owner, nonce)


def belongs(path: str | Path, root: Path, owner: str) -> bool:
    """Whether `path` is exactly that of a file in a folder of this owner directly below `root`; the file need not be there (any more)."""
    above, _, name = str(path).rpartition("/")
    above, _, folder = above.rpartition("/")
    parts = _NAME.fullmatch(folder)
    if above != str(root) or name in ("", ".", "..") or "\0" in name or parts is None:
        return False
    return secrets.compare_digest(parts[2], _tag(owner, parts[1]))


def known_again(owner: str) -> str:
    """The owner, or NOBODY for a session: it ends with its connection, and what is fetched later does not say of which session it was."""
    return NOBODY if owner.startswith("session:") else owner


def _tag(owner: str, nonce: str) -> str:
    return hashlib.sha256(f"{nonce} {known_again(owner)}".encode()).hexdigest()[: 2 * TAG_BYTES]
