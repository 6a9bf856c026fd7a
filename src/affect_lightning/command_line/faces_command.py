"""`affect-lightning faces`: which faces are found in clips, which is taken for the speaker's, and its crops.

Paper: Section 4, the `face` stream. Clips are decoded and cropped by `affect_lightning.data` exactly as in training;
nothing is read from or written to the box cache. Neighbour: `face_sheet.py` draws.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
from affect_lightning.command_line.tables import format_table
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole

if TYPE_CHECKING:
    import numpy as np

    from affect_lightning.command_line.face_sheet import SheetClip
    from affect_lightning.data.faces import FaceCropper

_DETECTOR = {"detector": "face_detectors"}
_DEFAULT_DETECTOR = "centerface"  # our choice, as in the data module
_SUFFIXES = (".png", ".jpg", ".jpeg")


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
    from affect_lightning.plugin_loading import build_part

    cropper = FaceCropper(build_part("face_detectors", choice))
    if not cropper.detector.finds_faces:
        raise ConfigurationError(f"The detector {cropper.detector.identity()!r} finds no faces; choose another.")
    clips = [
        _read(cropper, path, options.frames) for path in tqdm(options.clips, desc="clips", unit="clip", disable=None)
    ]
    if options.out is not None:
        _write_sheet(options.out, clips)
    if options.json:
        content = {"detector": cropper.detector.identity(), "clips": list(map(_plain, options.clips, clips))}
        print(json.dumps({**content, "sheet": str(options.out) if options.out else None}, ensure_ascii=False))
    else:
        print(_table(options.clips, clips))
    if options.out is not None:
        print(f"Sheet: {options.out}", file=sys.stderr if options.json else sys.stdout)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="affect-lightning faces",
        description=run.__doc__,
        epilog="On the sheet the speaker's box is green and other faces are amber; a crop with a red edge is of a frame "
        "in which the speaker's face was not found (it is cut where the nearest frame has the face).",
    )
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="video files")
    parser.add_argument("--out", type=Path, metavar="PNG", help="the sheet; not needed with --json")
    parser.add_argument(
        "--frames", type=int, default=8, help="frames a clip, spread uniformly by time (8; paper, Appendix B)"
    )
    parser.add_argument(
        "--detector",
        metavar="NAME",
        help=f"plugin that finds faces, by default {_DEFAULT_DETECTOR}; --detector.help NAME shows its options, "
        "--detector.OPTION VALUE sets one",
    )
    parser.add_argument("--json", action="store_true", help="boxes as one JSON object on standard output")
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.out is None and not options.json:
        raise ConfigurationError("Give the file for the contact sheet with --out, or print the boxes with --json.")
    if options.out is not None and options.out.suffix.lower() not in _SUFFIXES:
        raise ConfigurationError(f"--out must end in {', '.join(_SUFFIXES)}; got {options.out}.")
    if options.frames < 1:
        raise ConfigurationError(f"--frames must be at least 1; got {options.frames}.")


def _read(cropper: FaceCropper, path: Path, frame_count: int) -> SheetClip:
    """Decode, find and crop one clip; whatever is wrong with it is an error that names it."""
    from affect_lightning.command_line.face_sheet import SheetClip
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

    from affect_lightning.command_line.face_sheet import draw_sheet

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
