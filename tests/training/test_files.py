"""Files and folders of training that are damaged, or are somebody else's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from core.errors import OutputError
from training.config import load_config
from training.files import DataError, in_one_step, read_json, write_bytes
from training.published import write_published
from training.run_folder import states_of

pytestmark = pytest.mark.slow


def test_a_folder_stays_where_its_successor_cannot_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "kept/weights", b"old")
    replace, calls = os.replace, []

    def fails_once(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(OutputError), in_one_step(tmp_path / "kept") as part:
        part.mkdir()
    assert (tmp_path / "kept/weights").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_all_files_of_a_folder_are_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync, synced = os.fsync, []

    def noted(file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        sync(file)

    monkeypatch.setattr(os, "fsync", noted)
    with in_one_step(tmp_path / "state") as part:
        (part / "deep").mkdir(parents=True)
        for name in ("weights", "deep/average"):
            (part / name).write_bytes(b"new")
    assert {(tmp_path / "state" / name).stat().st_ino for name in ("weights", "deep/average")} <= set(synced)


def test_what_a_killed_process_left_goes_when_the_same_is_written_again(tmp_path: Path) -> None:
    """A state of the published size has 800 MB, and a machine may be taken away every hour."""
    others = {".00000020.0123456789ab.part", ".00000015.x.0123456789ab.part"}
    for name in (".00000015.0123456789ab.part", ".00000015.0123456789ab.old", *others):
        write_bytes(tmp_path / name / "weights", b"half")
    with in_one_step(tmp_path / "00000015") as part:
        part.mkdir()
    assert {path.name for path in tmp_path.iterdir()} == {"00000015", *others}


def test_a_folder_of_other_things_is_not_replaced_by_a_checkpoint(tmp_path: Path) -> None:
    write_bytes(tmp_path / "home/letter.txt", b"dear")
    nothing: Any = None
    with pytest.raises(DataError, match="other things"):
        write_published(tmp_path / "home", nothing, nothing, nothing, nothing, {}, onnx=False)
    assert (tmp_path / "home/letter.txt").is_file()


@pytest.mark.parametrize("text", ["steps: 2024-13-45", "[" * 100_000])
def test_a_configuration_that_yaml_stumbles_over_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DataError, match="is no YAML"):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["[]", "{}", '{"step": null}', '{"step": 1, "validation": 3}', "[" * 100_000])
def test_a_damaged_state_is_told(tmp_path: Path, text: str) -> None:
    write_bytes(tmp_path / "states/00000001/state.json", text.encode())
    with pytest.raises(DataError):
        states_of(tmp_path)
    if text.startswith("[["):
        with pytest.raises(DataError):
            read_json(tmp_path / "states/00000001/state.json", "The state")
