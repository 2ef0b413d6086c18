"""The errors of the model manager, a branch of the tree in core/errors.py.

TalkingHeadError
└── DownloadError           the checkpoints cannot be had
    ├── HubError            the Hub cannot be reached, or says no
    ├── CorruptFileError    a file is not what was published, also when fetched again
    ├── DiskFullError       no room
    └── FolderError         the folder is not ours, or cannot be used
"""

from __future__ import annotations

from core.errors import TalkingHeadError


class DownloadError(TalkingHeadError):
    """The checkpoints cannot be had."""


class HubError(DownloadError):
    """The Hub cannot be reached, or does not hand out what was asked for."""


class CorruptFileError(DownloadError):
    """A file is not what was published."""


class DiskFullError(DownloadError):
    """The disk has no room for the checkpoints."""


class FolderError(DownloadError):
    """The folder for the checkpoints belongs to somebody else, or cannot be used."""
