"""What visitors upload to a page: bounds that hold, and what is in use stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.service.errors import TooLarge, TooMany
from core.service.outputs import OutputFolder
from core.service.visitor_uploads import ADDRESS_SHARE, MAX_FILES, VisitorUploads
from core.settings import Settings
from tests.support.paths import PORTRAIT

LIMIT = 100_000
KIND = "multipart/form-data; boundary=x"


@pytest.fixture
def outputs(tmp_path: Path) -> OutputFolder:
    outputs = OutputFolder(tmp_path / "videos", 3600.0)
    outputs.prepare()
    return outputs


@pytest.fixture
def uploads(outputs: OutputFolder) -> VisitorUploads:
    return VisitorUploads(outputs, Settings(owner_uploads_bytes=LIMIT, uploads_per_minute=10_000, owner_uploads_at_once=1))


def form(nbytes: int) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    return head + PORTRAIT.read_bytes()[:4096].ljust(nbytes, b"x") + b"\r\n--x--\r\n"


def send(uploads: VisitorUploads, nbytes: int, visitor: str = "visitor:a", address: str = "192.0.2.1") -> Path:
    with uploads.receiving(visitor, address) as arrival:
        arrival.begin(KIND)
        arrival.write(form(nbytes))
        return arrival.finish()[0]


def test_what_is_in_use_stays_and_the_next_oldest_goes(uploads: VisitorUploads, outputs: OutputFolder) -> None:
    first, second = send(uploads, 40_000), send(uploads, 40_000)
    with outputs.using(first):
        third = send(uploads, 40_000)
        assert [path.is_file() for path in (first, second, third)] == [True, False, True]
        with outputs.using(third), pytest.raises(TooMany, match="in use"):
            send(uploads, 40_000)
        assert sorted(path for path in outputs.root.rglob("*") if path.is_file()) == sorted([first, third])
    with outputs.using(first):  # it was used last, though it is the oldest
        pass
    fourth = send(uploads, 40_000)
    assert [path.is_file() for path in (first, third, fourth)] == [True, False, True]


def test_one_visitor_does_not_push_out_another(uploads: VisitorUploads) -> None:
    kept = send(uploads, 90_000, "visitor:b")
    for _ in range(5):
        send(uploads, 60_000, "visitor:a")
    assert kept.is_file()


def test_an_address_is_bounded_however_many_visitors_it_claims_to_be(uploads: VisitorUploads, outputs: OutputFolder) -> None:
    elsewhere = send(uploads, 90_000, "visitor:z", "192.0.2.2")
    for n in range(3 * ADDRESS_SHARE):
        send(uploads, 90_000, f"visitor:{n}")
    for n in range(3 * ADDRESS_SHARE):
        send(uploads, 90_000, f"session:{n}")
    kept = [each for each in outputs.uploads() if each.folder != elsewhere.parent]
    assert elsewhere.is_file()
    assert sum(each.nbytes for each in kept) <= ADDRESS_SHARE * LIMIT
    assert len(kept) == ADDRESS_SHARE


def test_the_number_of_files_is_bounded(outputs: OutputFolder) -> None:
    uploads = VisitorUploads(outputs, Settings(uploads_per_minute=10_000))
    paths = [send(uploads, 1) for _ in range(MAX_FILES + 3)]
    assert [path.is_file() for path in paths] == [False] * 3 + [True] * MAX_FILES
    assert len(outputs.uploads()) == MAX_FILES


def test_a_form_has_no_more_bytes_than_a_visitor(uploads: VisitorUploads, outputs: OutputFolder) -> None:
    with pytest.raises(TooLarge):
        send(uploads, 2 * LIMIT)
    assert list(outputs.root.iterdir()) == []


def test_one_at_a_time(uploads: VisitorUploads) -> None:
    with uploads.receiving("visitor:a", "192.0.2.1"), pytest.raises(TooMany), uploads.receiving("visitor:a", "192.0.2.2"):
        pass
    send(uploads, 5000)


def test_a_folder_that_vanishes_is_made_again(uploads: VisitorUploads, outputs: OutputFolder) -> None:
    outputs.root.rmdir()
    assert send(uploads, 5000).is_file()
