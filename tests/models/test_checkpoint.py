"""Published containers load strictly; anything else is an error that names the file, what is wrong with it, and the remedy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="Ditto's networks need torch, which is not installed")

from core.errors import TalkingHeadError  # noqa: E402
from core.models import LMDM, AppearanceExtractor, Decoder, StitchNetwork  # noqa: E402
from core.models.checkpoint import PUBLISHED, CheckpointError, load_checkpoint  # noqa: E402
from tests.support.parity_networks import KINDS, as_tuple, published_weights, tiny, tiny_arguments  # noqa: E402


def packed(name: str, weights: dict[str, Any]) -> dict[str, Any]:
    """As the published file of that network packs them."""
    if name == "lmdm":
        return {"model_state_dict": weights, "epoch": 3}
    if name == "stitch_network":
        return {"retarget_shoulder": {f"module.{k}": v for k, v in weights.items()}, "retarget_mouth": {"module.x": torch.zeros(2)}}
    return weights


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "appearance_extractor.pth"
    torch.save(tiny("appearance_extractor").state_dict(), path)
    return path


def without_storage(kind: Any) -> Any:
    with torch.device("meta"):
        return kind()


def empty(name: str) -> Any:
    from tests.support.parity_networks import TINY

    return KINDS[name](**TINY[name])


@pytest.mark.parametrize("name", KINDS)
def test_every_container_is_understood(name: str, tmp_path: Path) -> None:
    source = tiny(name)
    path = tmp_path / "file.pth"
    torch.save(packed(name, source.state_dict()), path)
    loaded = load_checkpoint(empty(name), path)
    arguments = tiny_arguments(name, 1)
    for a, b in zip(as_tuple(source(**arguments)), as_tuple(loaded(**arguments)), strict=True):
        assert torch.equal(a, b)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("name", ["stitch_network", "appearance_extractor"])
def test_published_size_loads_strictly(name: str, tmp_path: Path) -> None:
    """The larger four load in the same way in the parity tests, without the detour over a file."""
    weights = published_weights(name)
    path = tmp_path / "file.pth"
    torch.save(packed(name, weights), path)
    loaded = load_checkpoint(without_storage(KINDS[name]), path)
    assert all(torch.equal(v, weights[k]) for k, v in loaded.state_dict().items())


def test_files_from_before_zip_archives_load(saved: Path) -> None:
    weights = torch.load(saved, weights_only=True)
    torch.save(weights, saved, _use_new_zipfile_serialization=False)
    assert load_checkpoint(empty("appearance_extractor"), saved) is not None


def test_half_precision_is_an_argument_and_leaves_tables_alone(tmp_path: Path) -> None:
    path = tmp_path / "lmdm.pth"
    torch.save(packed("lmdm", tiny("lmdm").state_dict()), path)
    net = load_checkpoint(empty("lmdm"), path, dtype=torch.float16)
    assert net.final_layer.weight.dtype == torch.float16
    for name, buffer in net.named_buffers():
        assert buffer.dtype == torch.float32, name


def test_a_network_built_without_storage_has_its_noise_tables(tmp_path: Path) -> None:
    with torch.device("meta"):
        net = LMDM(motion_dim=9, cond_dim=11, frames=8, width=16, ff_width=24, layers=2, heads=2, cond_layers=1)
    path = tmp_path / "lmdm.pth"
    torch.save(packed("lmdm", tiny("lmdm").state_dict()), path)
    net = load_checkpoint(net, path)
    given = tiny_arguments("lmdm", 1)
    assert torch.equal(net.denoise(**given)[0], tiny("lmdm").denoise(**given)[0])


def failure(kind: str, path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(empty(kind), path)
    assert isinstance(caught.value, TalkingHeadError)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def test_a_missing_file_says_what_to_fetch(tmp_path: Path) -> None:
    message = failure("decoder", tmp_path / "none.pth")
    assert "cannot be read" in message
    assert PUBLISHED[Decoder].path in message


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, -30])
def test_a_file_cut_short_is_damaged(saved: Path, keep: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * keep)] if isinstance(keep, float) else data[:keep])
    assert "damaged" in failure("appearance_extractor", saved)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "appearance_extractor.pth"
    path.write_bytes(b"<html>not found</html>" * 100)
    assert "damaged" in failure("appearance_extractor", path)
    path.write_bytes(b"PK\x03\x04" + bytes(5000))
    assert "damaged" in failure("appearance_extractor", path)


class Harmful:
    """What pickle would call when it is read."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Path.touch, (Path("harm-was-done"),))  # type: ignore[return-value]


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "appearance_extractor.pth"
    torch.save({"first.conv.weight": Harmful()}, path)
    failure("appearance_extractor", path)
    path.write_bytes(pickle.dumps(Harmful(), 2))
    failure("appearance_extractor", path)
    assert not Path("harm-was-done").exists()


def test_wrong_keys_are_named_the_first_ones_only(saved: Path) -> None:
    weights = torch.load(saved, weights_only=True)
    for key in list(weights)[:5]:
        weights[f"renamed.{key}"] = weights.pop(key)
    torch.save(weights, saved)
    message = failure("appearance_extractor", saved)
    assert "missing: first.conv.weight, first.conv.bias, first.norm.weight and 2 more" in message
    assert "not in this network: renamed.first.conv.weight" in message


def test_wrong_shapes_are_named(saved: Path) -> None:
    weights = torch.load(saved, weights_only=True)
    weights["second.bias"] = torch.zeros(3)
    torch.save(weights, saved)
    assert "wrong shape: second.bias is (3,), not (8,)" in failure("appearance_extractor", saved)


def test_a_container_without_its_section_is_named(saved: Path) -> None:
    assert "has no 'retarget_shoulder'; it holds 'first.conv.weight'" in failure("stitch_network", saved)


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {3: torch.zeros(1)}, torch.zeros(2)])
def test_other_content_is_named(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "decoder.pth"
    torch.save(content, path)
    assert "named weights" in failure("decoder", path)


def test_another_networks_file_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "decoder.pth"
    torch.save(published_weights("appearance_extractor"), path)
    with pytest.raises(CheckpointError, match="It is a checkpoint of AppearanceExtractor"):
        load_checkpoint(without_storage(Decoder), path)


def test_every_network_has_a_published_file() -> None:
    assert set(PUBLISHED) == set(KINDS.values())
    assert PUBLISHED[AppearanceExtractor].section == ""
    assert PUBLISHED[StitchNetwork].prefix == "module."
