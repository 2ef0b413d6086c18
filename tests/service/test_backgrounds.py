"""A picture of one's own behind the person: an input of the job like the photo, with bounds, kept until the job is done."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from core.errors import ImageError, InputError
from core.service.errors import KeyReused
from core.service.job_views import JobView
from core.service.outputs import OutputFolder
from core.service.requests import VideoInputs
from core.service.service import Service
from core.studio import Studio
from tests.support.backdrops import BLUE, RED, backdrop, first_frame, is_behind
from tests.support.paths import PORTRAIT, SPEECH

OWNER = "somebody"


def opened(studio: Studio) -> Service:
    outputs = OutputFolder(studio.settings.output_dir / "videos", 3600.0)
    outputs.prepare()
    return Service(studio, outputs)


@pytest.fixture
def service(open_again: Callable[..., Studio]) -> Iterator[Service]:
    """Accepts jobs; works on them once it is started."""
    service = opened(open_again())
    yield service
    service.close(0.0)


def asked(service: Service, background: Path | None, key: str = "", **inputs: Any) -> JobView:
    given = {"audio": SPEECH, "image": PORTRAIT, "options": {"size": 128}, **inputs}
    return asyncio.run(service.requests.video(VideoInputs(**given, background=background), OWNER, idempotency_key=key))


def ended(service: Service, job: JobView) -> JobView:
    return asyncio.run(service.jobs.ended(job.id, OWNER))


def shown(service: Service, job: JobView) -> Any:
    done = ended(service, job)
    assert done.video is not None, done.error
    return first_frame(done.video)


def test_the_same_request_is_one_job_and_another_picture_another(service: Service, tmp_path: Path) -> None:
    red, again, blue = backdrop(tmp_path / "red.png"), backdrop(tmp_path / "again.png"), backdrop(tmp_path / "blue.png", BLUE)
    first = asked(service, red)
    assert asked(service, again).id == first.id, "it is the content that counts"
    assert len({first.id, asked(service, blue).id, asked(service, None).id}) == 3
    keyed = asked(service, red, key="mine")
    assert asked(service, again, key="mine").id == keyed.id
    with pytest.raises(KeyReused):
        asked(service, blue, key="mine")


def test_a_job_that_waits_outlives_its_process_and_the_upload(open_again: Callable[..., Studio], tmp_path: Path) -> None:
    before, picture = opened(open_again()), backdrop(tmp_path / "red.png")
    job = asked(before, picture)
    before.close(0.0)
    picture.unlink()
    after = opened(open_again())
    after.start()
    assert is_behind(RED, shown(after, job))
    after.close(0.0)


def test_a_kept_video_answers_for_its_own_picture_only(service: Service, tmp_path: Path) -> None:
    red, blue = backdrop(tmp_path / "red.png"), backdrop(tmp_path / "blue.png", BLUE)
    service.start()
    assert is_behind(RED, shown(service, asked(service, red)))
    kept = asked(service, red)
    assert kept.info is not None
    assert kept.info.cache_hit
    assert is_behind(BLUE, shown(service, asked(service, blue)))
    assert not is_behind(RED, shown(service, asked(service, None)))


def test_with_an_own_picture_even_the_video_of_an_example_is_ones_own(service: Service, tmp_path: Path) -> None:
    service.studio.share_results([(PORTRAIT, SPEECH)])
    red, inputs = backdrop(tmp_path / "red.png"), VideoInputs(SPEECH, PORTRAIT, options={"size": 128})
    service.start()
    for background in (None, red):
        ended(service, asked(service, background))
        other = asyncio.run(service.requests.video(dataclasses.replace(inputs, background=background), "another"))
        made = asyncio.run(service.jobs.ended(other.id, "another"))
        assert made.info is not None
        assert made.info.cache_hit == (background is None)
    assert service.studio.clear_cache("results", OWNER) > 0


def test_hostile_pictures_are_refused_as_photos_are(service: Service, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    cv2.imwrite(str(wide), np.zeros((64, 64, 3), np.uint8))
    header = bytearray(wide.read_bytes())
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    wide.write_bytes(header)
    broken = tmp_path / "broken.png"
    broken.write_bytes(backdrop(tmp_path / "red.png").read_bytes()[:60])
    for bad, message in ((wide, "60000×60000"), (broken, "cannot be decoded"), (SPEECH, "is not a photo")):
        with pytest.raises(ImageError, match=message) as caught:
            asked(service, bad)
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(InputError, match="is gone"):
        asked(service, tmp_path / "nothing.png")
    with pytest.raises(InputError, match="another background"):
        asked(service, backdrop(tmp_path / "red.png"), options={"background": "blur"})


def test_a_still_shows_it(service: Service, tmp_path: Path) -> None:
    data = asyncio.run(service.stills.of(PORTRAIT, OWNER, {}, "background", backdrop(tmp_path / "red.png")))
    assert is_behind(RED, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])
