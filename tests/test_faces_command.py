"""`affect-lightning faces`: the sheet, the JSON, and one paragraph for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from affect_lightning.command_line.faces_command import CAPTION, GAP, MISSING, OTHER, SPEAKER, SheetClip, draw_sheet
from affect_lightning.command_line.program import main
from affect_lightning.data.faces import FaceCropper, FoundFaces
from affect_lightning.plugin_loading import build_part
from clip_making import write_clip
from face_cases import box, needs_centerface


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(int(value) for value in colour) for colour in np.unique(picture.reshape(-1, 3), axis=0)}


def test_the_sheet_marks_speaker_others_and_gaps() -> None:
    frames = np.full((3, 120, 200, 3), 90, np.uint8)
    speaker, other = box(60, 60, 40), box(150, 60, 30)
    found = FoundFaces([[speaker, other], [], [other]], [speaker, None, None])
    crops = FaceCropper(build_part("face_detectors", "none")).cut(frames, np.ones(3, bool), found, Path("a.mp4"))
    clip = SheetClip("a.mp4", frames, np.array([0.5, 1.5, 2.5]), found, crops)
    sheet = draw_sheet([clip])
    assert (draw_sheet([clip, clip]) == np.concatenate([sheet, sheet])).all()
    columns = np.split(sheet[:, GAP : GAP + 3 * 208], 3, axis=1)
    below = CAPTION + 120 + GAP
    assert {SPEAKER, OTHER} <= colours(columns[0][:below])
    assert not {SPEAKER, OTHER} & colours(columns[1][:below])
    assert OTHER in colours(columns[2][:below])
    assert SPEAKER not in colours(columns[2][:below])
    assert [SPEAKER in colours(column[below:]) for column in columns] == [True, False, False]
    assert [MISSING in colours(column[below:]) for column in columns] == [False, True, True]


@needs_centerface
def test_sheet_and_json_of_clips(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talker = min((corpus / "mer-caption-plus" / "video").glob("*.mp4"))
    empty = write_clip(tmp_path / "空 clip.mp4", range(0, 400, 40))
    sheet = tmp_path / "new folder" / "sheet.png"
    assert main(["faces", str(talker), str(empty), "--out", str(sheet), "--frames", "4", "--json"]) == 0
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert content["sheet"] == str(sheet)
    assert f"Sheet: {sheet}" in captured.err
    assert content["detector"].startswith("centerface ")
    first, second = content["clips"]
    assert (first["clip"], first["width"], first["height"]) == (str(talker), 320, 240)
    assert first["frames_without_face"] == sum(frame["speaker"] is None for frame in first["frames"]) <= 1
    shown = next(frame for frame in first["frames"] if frame["speaker"] is not None)
    x0, y0, x1, y1 = shown["faces"][shown["speaker"]]["box"]
    assert 0 <= x0 < x1 <= 320
    assert 0 <= y0 < y1 <= 240
    assert second["frames_without_face"] == 4
    assert {frame["speaker"] for frame in second["frames"]} == {None}
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[1] == 4 * 208 + GAP
    assert not list(tmp_path.rglob("*.boxes"))

    assert main(["faces", str(talker), "--out", str(sheet), "--detector.longest_side", "160"]) == 0
    assert talker.name in capsys.readouterr().out
    assert cv2.imread(str(sheet)).shape[1] == 8 * 208 + GAP


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{clip}"], "Give the file for the contact sheet with --out"),
        (["{clip}", "--out", "sheet.pdf"], "--out must end in .png, .jpg, .jpeg; got sheet.pdf"),
        (["{clip}", "--json", "--frames", "0"], "--frames must be at least 1; got 0"),
        (["nowhere.mp4", "--json"], "nowhere.mp4 cannot be read .*does not exist"),
        (["{clip}", "--json", "--detector", "none"], "The detector 'none' finds no faces; choose another"),
        (["{clip}", "--json", "--detector", "centreface"], "centreface.*centerface"),
        (["{clip}", "--json", "--detector.longest_side", "3"], "longest_side must be at least 32"),
        (["{clip}", "--out", "{clip}/sheet.png"], "sheet.png cannot be written: .*Give another path"),
    ],
)
@needs_centerface
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    import re

    clip = write_clip(tmp_path / "clip.mp4", range(0, 400, 40))
    assert main(["faces", *(word.format(clip=clip) for word in words)]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_options_of_a_detector_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faces", "--detector.help", "centerface"]) == 0
    assert "device" in capsys.readouterr().out
