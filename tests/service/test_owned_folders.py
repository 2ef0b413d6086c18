"""Folders that say whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.service.outputs import OutputFolder
from core.service.owned_folders import NOBODY, belongs, folder_name

ROOT = Path("/srv/videos")


def test_a_folder_belongs_to_its_owner_alone() -> None:
    owners = ("visitor:a", "visitor:b", "key:a", NOBODY)
    names = {owner: folder_name(owner) for owner in owners}
    assert len({*names.values(), folder_name("visitor:a")}) == 5
    for owner, name in names.items():
        for asking in owners:
            assert belongs(ROOT / name / "x.mp4", ROOT, asking) == (asking == owner)


def test_a_session_counts_as_nobody() -> None:
    """What is fetched later does not say of which session it was."""
    assert belongs(ROOT / folder_name("session:1") / "x", ROOT, "session:2")
    assert belongs(ROOT / folder_name("session:1") / "x", ROOT, NOBODY)
    assert not belongs(ROOT / folder_name("session:1") / "x", ROOT, "visitor:a")


@pytest.mark.parametrize(
    "form", ["{root}/{name}", "{root}/{name}/", "{root}/{name}/..", "{root}/{name}/.", "{root}/{name}/a/b", "{root}//{name}/x",
             "{root}/./{name}/x",
             "{name}/x", "/{name}/x", "{root}/../videos/{name}/x", "{root}/{name}/x\0", "{root}x/{name}/x", "file://{root}/{name}/x",
             "{root}/{name}/../../../etc/passwd", "{root}/{upper}/x", "{root}/ {name}/x"],
)  # fmt: skip
def test_other_ways_to_write_it_are_no_such_file(form: str) -> None:
    name = folder_name("visitor:a")
    assert belongs(f"{ROOT}/{name}/x", ROOT, "visitor:a")
    upper = name.upper() if name != name.upper() else name[:-1]
    assert not belongs(form.format(root=ROOT, name=name, upper=upper), ROOT, "visitor:a")


def test_an_upload_is_moved_to_its_visitor(tmp_path: Path) -> None:
    outputs = OutputFolder(tmp_path / "videos", 60.0)
    outputs.prepare()
    kept = []
    for owner in ("visitor:a", "visitor:b"):
        sent = outputs.new_folder("arriving-") / "files"
        sent.write_bytes(b"photo")
        kept.append(outputs.adopt(sent, "photo.png", owner))
        assert not sent.exists()
        assert belongs(kept[-1], outputs.root, owner)
    first, second = kept
    outputs.discard(first)
    assert second.read_bytes() == b"photo"
    assert [each.folder for each in outputs.uploads()] == [second.parent]
    assert outputs.nbytes() == 0, "no video"
    assert not first.exists()
