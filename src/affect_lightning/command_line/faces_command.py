"""`affect-lightning faces`: which faces are found in clips, which one is the speaker's, and a contact sheet of them.

Paper: Section 4, the `face` stream. `affect_lightning.data` decodes and crops the clips exactly as in training; the box
cache is neither read nor written. The sheet is for looking at: a loss does not show whether the right face is cut well.
It has each clip's frames with the boxes of all faces, and the speaker's crops below.
Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.data.frame_choice import FRAME_COUNT
from affect_lightning.errors import ConfigurationError, DataError, visible
from affect_lightning.storage import write_whole

if TYPE_CHECKING:
    from affect_lightning.data.faces import FaceCropper, FaceCrops, FoundFaces

_DETECTOR = {"detector": "face_detectors"}
_DEFAULT_DETECTOR = "centerface"  # our choice, as in the data module
_SUFFIXES = (".png", ".jpg", ".jpeg")
COLUMN = 208  # pixels for one frame, gap included
GAP = 8
CROP = 128  # side of a crop on the sheet
CAPTION = 26
PAPER, INK = (255, 255, 255), (32, 32, 32)  # red, green, blue
SPEAKER, OTHER, MISSING = (0, 200, 83), (255, 179, 0), (213, 0, 0)


def run(arguments: Sequence[str]) -> int:
    """Find the faces of clips and draw a contact sheet: frames with all boxes, the speaker's crops below."""
    rest, overrides, asked = take_plugin_words(arguments, _DETECTOR)
    if asked is not None:
        print(plugin_help(asked, _DETECTOR))
        return 0
    options = _parser().parse_args(rest)
    _check(options)
    choice = overrides["detector"].over(_DEFAULT_DETECTOR) if overrides else _DEFAULT_DETECTOR

    from tqdm import tqdm

    from affect_lightning.data.faces import FaceCropper
    from affect_lightning.data.quarantine import UnreadableClipError
    from affect_lightning.plugin_loading import build_part

    cropper = FaceCropper(build_part("face_detectors", choice))
    if not cropper.detector.finds_faces:
        raise ConfigurationError(
            f"The detector {cropper.detector.identity()!r} finds no faces. Choose another one with --detector."
        )
    read: dict[Path, SheetClip] = {}
    bad: dict[Path, str] = {}
    for path in tqdm(dict.fromkeys(options.clips), desc="clips", unit="clip", disable=None):
        try:
            read[path] = _read(cropper, path, options.frames)
        except UnreadableClipError as error:
            bad[path] = str(error)
            print(f"Left out: {visible(str(error))}", file=sys.stderr)
    if not read:
        raise DataError(f"None of the {len(bad)} files can be read. Give video files.")
    paths, clips = list(read), list(read.values())
    if options.out is not None:
        _write_sheet(options.out, clips)
    if options.json:
        content = {"detector": cropper.detector.identity(), "clips": list(map(_plain, paths, clips))}
        content["left_out"] = [{"clip": str(path), "reason": reason} for path, reason in bad.items()]
        print_json({**content, "sheet": str(options.out) if options.out else None})
    else:
        print(_table(paths, clips))
    if options.out is not None:
        print(f"Sheet: {options.out}", file=sys.stderr if options.json else sys.stdout)
    return int(bool(bad))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="affect-lightning faces",
        description=run.__doc__,
        epilog="The sheet shows the speaker's box in green and other faces in amber. A crop with a red edge comes from a frame "
        "without the speaker's face. It is cut where the nearest frame has the face.",
    )
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video files")
    parser.add_argument("--out", type=Path, metavar="PNG", help="file of the sheet; not needed with --json")
    parser.add_argument(
        "--frames",
        type=int,
        default=FRAME_COUNT,
        help="frames of each clip, evenly spaced in time (8; paper, Appendix B)",
    )
    parser.add_argument(
        "--detector",
        metavar="NAME",
        help=f"plugin that finds faces, by default {_DEFAULT_DETECTOR}; --detector.help NAME shows its options, "
        "--detector.OPTION VALUE sets one",
    )
    parser.add_argument("--json", action="store_true", help="print the boxes as one JSON object to standard output")
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.out is None and not options.json:
        raise ConfigurationError("Name the file for the contact sheet with --out, or print the boxes with --json.")
    if options.out is not None and options.out.suffix.lower() not in _SUFFIXES:
        raise ConfigurationError(f"--out must end in {', '.join(_SUFFIXES)}; got {options.out}.")
    if options.frames < 1:
        raise ConfigurationError(f"--frames must be at least 1; got {options.frames}.")


def _read(cropper: FaceCropper, path: Path, frame_count: int) -> SheetClip:
    """Decode, find and crop one clip; whatever is wrong with it is an error that names it."""
    from affect_lightning.data.decoding import decode_clip

    decoded = decode_clip(path, None, frame_count=frame_count, sample_rate=None)
    assert decoded.frames is not None  # asked for above
    assert decoded.frame_mask is not None
    assert decoded.frame_times is not None
    frames = decoded.frames[decoded.frame_mask]
    found = cropper.find(frames, frame_count, path)
    mask = decoded.frame_mask[decoded.frame_mask]
    crops = cropper.cut(frames, mask, found, path)
    title = f"{path.name}: {_seen(len(frames), crops.frames_without_face)}"
    return SheetClip(title, frames, decoded.frame_times[decoded.frame_mask], found, crops)


def _seen(frames: int, without: int) -> str:
    return f"speaker in {frames - without} of {frames} frames"


def _write_sheet(out: Path, clips: Sequence[SheetClip]) -> None:
    import cv2

    _, content = cv2.imencode(out.suffix.lower(), cv2.cvtColor(draw_sheet(clips), cv2.COLOR_RGB2BGR))
    try:
        write_whole(out, content.tobytes())
    except OSError as error:
        raise DataError(f"The sheet {out} cannot be written: {error.strerror or error}. Give another path.") from error


def _plain(path: Path, clip: SheetClip) -> dict[str, Any]:
    height, width = clip.frames.shape[1:3]
    return {
        "clip": str(path),
        "width": width,
        "height": height,
        "frames_without_face": clip.crops.frames_without_face,
        "frames": [_plain_frame(clip, index, time) for index, time in enumerate(clip.times)],
    }


def _plain_frame(clip: SheetClip, index: int, time: np.floating[Any]) -> dict[str, Any]:
    boxes, speaker = clip.found.boxes[index], clip.found.speaker[index]
    return {
        "seconds": round(float(time), 3),
        "faces": [{"box": [box.x0, box.y0, box.x1, box.y1], "score": box.score} for box in boxes],
        "speaker": next((number for number, box in enumerate(boxes) if box is speaker), None),
    }


def _table(paths: Sequence[Path], clips: Sequence[SheetClip]) -> str:
    rows = [
        (
            path.name,
            "{1}x{0}".format(*clip.frames.shape[1:3]),
            str(len(clip.frames)),
            str(len(clip.frames) - clip.crops.frames_without_face),
            str(max(map(len, clip.found.boxes))),
        )
        for path, clip in zip(paths, clips, strict=True)
    ]
    return format_table(("clip", "size", "frames", "with speaker", "most faces"), rows, right=(2, 3, 4))


@dataclass(frozen=True)
class SheetClip:
    """One clip of the sheet.

    Attributes:
        title: A line above the clip; what is not ASCII shows as question marks.
        frames: The real frames, RGB, uint8 [T, H, W, 3].
        times: Of the frames, in seconds [T].
        found: The faces in them.
        crops: What the encoder gets of them.
    """

    title: str
    frames: np.ndarray
    times: np.ndarray
    found: FoundFaces
    crops: FaceCrops


def draw_sheet(clips: Sequence[SheetClip]) -> np.ndarray:
    """Draw the clips below each other: RGB, uint8 [height, width, 3].

    The speaker's box and the crops cut from it are green, other faces amber; a crop without a face of its own has a
    red edge.
    """
    columns = max(len(clip.frames) for clip in clips)
    rows = [_draw_clip(clip, columns * COLUMN + GAP) for clip in clips]
    return np.concatenate(rows)


def _draw_clip(clip: SheetClip, width: int) -> np.ndarray:
    import cv2

    height, frame_width = clip.frames.shape[1:3]
    scale = (COLUMN - GAP) / max(frame_width, height)
    thumbnail = (max(1, round(frame_width * scale)), max(1, round(height * scale)))
    crops_top = CAPTION + thumbnail[1] + GAP
    sheet = np.full((crops_top + CROP + 3 * GAP, width, 3), PAPER, np.uint8)
    _write(sheet, clip.title, (GAP, CAPTION - 9))
    for index, frame in enumerate(clip.frames):
        left = GAP + index * COLUMN
        picture = cv2.resize(frame, thumbnail, interpolation=cv2.INTER_AREA)
        for box in clip.found.boxes[index]:
            chosen = box is clip.found.speaker[index]
            corners = [round(edge * scale) for edge in (box.x0, box.y0, box.x1, box.y1)]
            cv2.rectangle(picture, corners[:2], corners[2:], SPEAKER if chosen else OTHER, 2 if chosen else 1)
        _write(picture, f"{clip.times[index]:.1f} s", (4, thumbnail[1] - 5), outlined=True)
        sheet[CAPTION : CAPTION + thumbnail[1], left : left + thumbnail[0]] = picture
        crop = cv2.resize(clip.crops.pictures[index], (CROP, CROP), interpolation=cv2.INTER_AREA)
        edge = SPEAKER if clip.found.speaker[index] is not None else MISSING
        cv2.rectangle(crop, (0, 0), (CROP - 1, CROP - 1), edge, 2)
        sheet[crops_top : crops_top + CROP, left : left + CROP] = crop
    return sheet


def _write(picture: np.ndarray, text: str, place: tuple[int, int], outlined: bool = False) -> None:
    import cv2

    text = text.encode("ascii", "replace").decode()
    style: dict[str, Any] = {"fontFace": cv2.FONT_HERSHEY_SIMPLEX, "fontScale": 0.45, "lineType": cv2.LINE_AA}
    if outlined:
        cv2.putText(picture, text, place, color=INK, thickness=3, **style)
    cv2.putText(picture, text, place, color=PAPER if outlined else INK, thickness=1, **style)
