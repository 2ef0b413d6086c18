"""Lists of videos as people write them: CSV of any spreadsheet, JSON Lines; and every row that is wrong is told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.batch import job_list
from core.batch.job_list import BatchJob, read_jobs
from core.errors import OptionError

COMMON = {"engine": "auto", "voice": "", "speed": 1.0, "size": 320, "seed": 1234}


def written(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def jobs_of(folder: Path, text: str, name: str = "list.csv", /, **common: Any) -> list[BatchJob]:
    jobs, wrong = read_jobs(written(folder, text, name), {**COMMON, **common})
    assert [str(row) for row in wrong] == []
    return jobs


def wrong_in(folder: Path, text: str, name: str = "list.csv", /, **common: Any) -> list[str]:
    return [str(row) for row in read_jobs(written(folder, text, name), {**COMMON, **common})[1]]


@pytest.mark.parametrize(
    "text",
    [
        "audio,source,output,size\na.wav,p.png,o/a.mp4,128\n",
        "audio;source;output;size\r\na.wav;p.png;o/a.mp4;128\r\n\r\n",
        "\ufeffaudio\tsource\toutput\tsize\n\t\t\t\na.wav\tp.png\to/a.mp4\t128",
        ' output , source,size,audio\n"o/a.mp4", p.png ,128,a.wav\n',
    ],
    ids=["commas", "semicolons", "tabs and a mark of byte order", "quotes and blanks"],
)
def test_csv_as_spreadsheets_write_it(text: str, tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path, text)
    assert job.speech.recording == tmp_path / "a.wav"
    assert (job.source, job.output) == (tmp_path / "p.png", tmp_path / "o" / "a.mp4")
    assert job.options == {"size": 128, "seed": 1234}
    assert job.inputs() == (tmp_path / "a.wav", tmp_path / "p.png")


def test_rows_of_json_and_of_csv_mean_the_same(tmp_path: Path) -> None:
    in_csv = jobs_of(
        tmp_path,
        "text,voice,speed,source,output,engine,preset,emo,background,crop,seed\n"
        '"Hello, you.\nAnd you.",espeak-de,1.5,p.png,a.mp4,ditto,fast,"[""happy"", 3]",sky.png,"0.1,0,0.8,0.9",random\n'
        "12,,,/other/q.png,b.mp4,,,,blur,,\n",
    )
    rows = [
        {
            "text": "Hello, you.\nAnd you.", "voice": "espeak-de", "speed": 1.5, "source": "p.png", "output": "a.mp4", "engine": "ditto",
            "preset": "fast", "emo": ["happy", 3], "background": "sky.png", "crop": "0.1,0,0.8,0.9", "seed": "random",
        },
        {"text": "12", "voice": None, "source": "/other/q.png", "output": "b.mp4", "background": "blur"},
    ]  # fmt: skip
    in_json = jobs_of(tmp_path, "".join(f"{json.dumps(row)}\n\n" for row in rows), "list.jsonl")
    assert [vars(job) | {"line": 0} for job in in_csv] == [vars(job) | {"line": 0} for job in in_json]
    first, second = in_csv
    assert ([job.line for job in in_csv], [job.line for job in in_json]) == ([2, 4], [1, 3])
    assert (first.speech.text, first.speech.voice, first.speech.speed) == ("Hello, you.\nAnd you.", "espeak-de", 1.5)
    assert (first.engine, first.background) == ("ditto", tmp_path / "sky.png")
    assert first.options == {
        "size": 320, "seed": "random", "sampling_timesteps": 10, "template_n_frames": 3, "max_size": 512, "emo": ["happy", 3],
        "crop": "0.1,0,0.8,0.9",
    }  # fmt: skip
    assert (second.speech.text, second.source, second.background) == ("12", Path("/other/q.png"), None)
    assert second.options == {"size": 320, "seed": 1234, "background": "blur"}


def test_what_is_common_holds_where_a_row_says_nothing_else(tmp_path: Path) -> None:
    common = {"source": Path("/faces/one.png"), "text": "Hello", "voice": "espeak-de", "speed": 0.8, "background": "/skies/sky.png"}
    rows = [
        {"output": "a.mp4"},
        {"output": "b.mp4", "audio": "b.wav", "source": "b.png", "background": "keep"},
        {"output": "c.mp4", "text": "You"},
    ]
    spoken, recorded, other = jobs_of(tmp_path, "\n".join(map(json.dumps, rows)), "list.jsonl", **common)
    assert (spoken.source, spoken.speech.text) == (Path("/faces/one.png"), "Hello")
    assert (spoken.speech.voice, spoken.speech.speed) == ("espeak-de", 0.8)
    assert spoken.background == Path("/skies/sky.png")
    assert (recorded.speech.recording, recorded.speech.text, recorded.source) == (tmp_path / "b.wav", "", tmp_path / "b.png")
    assert recorded.background is None
    assert (other.speech.text, other.speech.voice) == ("You", "espeak-de")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"audio": "a.wav", "source": "p.png"}, "has no output"),
        ({"audio": "a.wav", "output": "a.mp4"}, "has no source"),
        ({"source": "p.png", "output": "a.mp4"}, "neither audio nor text"),
        ({"audio": "a.wav", "text": "x", "source": "p.png", "output": "a.mp4"}, "both audio and text"),
        ({"audio": "a.wav", "speed": 2, "source": "p.png", "output": "a.mp4"}, "speed is given with a recording"),
        ({"text": "x", "speed": "fast", "source": "p.png", "output": "a.mp4"}, "speed is 'fast'"),
        ({"audio": 3, "source": "p.png", "output": "a.mp4"}, "audio is '3'"),
        ({"audio": "a.wav", "source": "p.png", "output": "a.avi"}, "must end in .mp4"),
        ({"audio": "a.wav", "source": "p.png", "output": "a.mp4", "siez": 3}, "Is size meant?"),
        ({"audio": "a.wav", "source": "p.png", "output": "a.mp4", "head_motion": "much"}, "head_motion is 'much'"),
        ({"audio": "a.wav", "source": "p.png", "output": "a.mp4", "preset": "best"}, "no preset 'best'"),
        (["audio", "a.wav"], "no JSON object"),
    ],
    ids=str,
)
def test_wrong_rows_are_told_with_their_lines(row: Any, said: str, tmp_path: Path) -> None:
    good = json.dumps({"audio": "a.wav", "source": "p.png", "output": "good.mp4"})
    (told,) = wrong_in(tmp_path, f"{good}\n{json.dumps(row)}\n", "list.jsonl")
    assert told.startswith("line 2: ")
    assert said in told


def test_lines_that_are_no_rows(tmp_path: Path) -> None:
    assert "is not JSON" in wrong_in(tmp_path, "{audio}\n", "list.jsonl")[0]
    assert "is not JSON" in wrong_in(tmp_path, "[" * 100_000, "list.jsonl")[0]
    (told,) = wrong_in(tmp_path, "audio,source,output\na.wav,p.png,o.mp4,more\n")
    assert told.startswith("line 2: It has more cells than there are columns.")


def test_no_output_is_written_twice_nor_over_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    rows = ["a.wav,p.png,real/a.mp4", "b.wav,p.png,link/../link/a.mp4", "c.wav,clip.mp4,c.mp4", "d.wav,p.png,./clip.mp4"]
    told = wrong_in(tmp_path, "audio,source,output\n" + "\n".join(rows))
    assert len(told) == 2
    assert told[0] == "line 3: Its output a.mp4 is that of line 2, too. Choose another name."
    assert told[1].startswith("line 5: Its output clip.mp4 is one of the files that are read.")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "list.csv", "empty"),
        ("audio,source,output\n\n", "list.csv", "has no rows"),
        ("a.wav,p.png,o.mp4\n", "list.csv", "There is no column 'a.wav'"),
        ("audio,source,output,audio\n", "list.csv", "column 'audio' twice"),
        ("audio,source,outptu\n", "list.csv", "Is output meant?"),
        ('audio,source,output\n"a.wav,p.png,o.mp4\n', "list.csv", "is not CSV"),
        ("audio\n", "list.txt", "must end in .csv or .jsonl"),
    ],
)
def test_lists_that_are_none(text: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=said):
        read_jobs(written(tmp_path, text, name), COMMON)


def test_a_list_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_list, "MAX_ROWS", 2)
    monkeypatch.setattr(job_list, "MAX_LIST_BYTES", 200)
    head = "audio,source,output\n"
    assert len(jobs_of(tmp_path, f"{head}a,p,a.mp4\nb,p,b.mp4\n")) == 2
    with pytest.raises(OptionError, match="more than 2 rows"):
        read_jobs(written(tmp_path, f"{head}a,p,a.mp4\nb,p,b.mp4\nc,p,c.mp4\n"), COMMON)
    with pytest.raises(OptionError, match="At most"):
        read_jobs(written(tmp_path, head + " " * 200), COMMON)
    (tmp_path / "latin.csv").write_bytes(head.encode() + b"\xe4,p,a.mp4\n")
    with pytest.raises(OptionError, match="not UTF-8"):
        read_jobs(tmp_path / "latin.csv", COMMON)
    with pytest.raises(OptionError, match="does not exist"):
        read_jobs(tmp_path / "none.csv", COMMON)
