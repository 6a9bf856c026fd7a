"""Parts of a long video that are asked about one by one: windows of equal length, speech, or scenes (ours).

Windows need no library. Speech is found by silero-vad, whose weights are in its wheel; scenes by PySceneDetect. Each is
an extra. `command_line/timeline_results.py` makes a timeline out of the answers.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.decoding import open_container
from affect_lightning.data.span_decoding import Span, span_sound
from affect_lightning.errors import ConfigurationError, DataError

_WINDOW = re.compile(r"(\d+(?:\.\d+)?)s")
_SHORTEST = 0.1  # seconds of a window; our choice: three pictures
_RATE = 16_000  # Hz, what silero-vad hears
_PIECE = 600.0  # seconds of sound that are looked through at once (38 MB); our choice
_GAP = 0.5  # seconds between two pieces of speech that belong together; our choice


def cut_into_segments(clip: ClipRecord, how: str) -> list[Span]:
    """The parts of a clip, in seconds from its start.

    Args:
        clip: With a video or a sound file.
        how: A length such as `5s`, or `speech`, or `scene`.

    Raises:
        ConfigurationError: `how` is neither, or its extra is not installed.
        DataError: The file cannot be read, or nobody speaks in it.
    """
    window = _WINDOW.fullmatch(how)
    if window is None and how not in _FINDERS:
        raise ConfigurationError(f"--segments takes a length such as 5s, or {' or '.join(_FINDERS)}; got {how!r}.")
    if window is not None and float(window[1]) < _SHORTEST:
        raise ConfigurationError(f"Give --segments a length of {_SHORTEST} s or more; got {how!r}.")
    path = clip.video or clip.audio
    if path is None:
        raise ConfigurationError("--segments needs clips with a file.")
    if window is not None:
        return windows_of(length_of(path), float(window[1]))
    return _FINDERS[how](path if how == "scene" else clip.audio or path)


def windows_of(length: float, window: float) -> list[Span]:
    """Windows of equal length; a rest shorter than half a window belongs to the last one (our choice).

    >>> windows_of(12.0, 5.0), windows_of(13.0, 5.0), windows_of(3.0, 5.0)
    ([(0.0, 5.0), (5.0, 12.0)], [(0.0, 5.0), (5.0, 10.0), (10.0, 13.0)], [(0.0, 3.0)])
    """
    count = max(1, int(length / window + 0.5))
    return [(place * window, length if place == count - 1 else (place + 1) * window) for place in range(count)]


def length_of(path: Path) -> float:
    """Length of a file in seconds, from its header.

    Raises:
        DataError: It does not say.
    """
    with open_container(path, "video") as container:
        length = float((container.duration or 0) / 1e6)
    if length <= 0:
        raise DataError(
            f"{path} does not say how long it is. Convert it, such as with `ffmpeg -i {path.name} new.mp4`."
        )
    return length


def _speech(path: Path) -> list[Span]:
    """Where somebody speaks."""
    try:
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError as error:
        raise ConfigurationError(_missing("speech", "silero-vad")) from error
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # silero-vad reads its weights with torch.jit, which torch advises against
        model: Any = load_silero_vad()
    found: list[Span] = []
    for start, end in windows_of(length_of(path), _PIECE):
        sound = torch.from_numpy(np.ascontiguousarray(span_sound(path, (start, end), _RATE)))
        for part in get_speech_timestamps(sound, model, sampling_rate=_RATE):
            found.append((start + part["start"] / _RATE, start + part["end"] / _RATE))
    if not found:
        raise DataError(f"Nobody speaks in {path}. Take windows instead, such as --segments 5s.")
    return joined(found)


def joined(parts: list[Span]) -> list[Span]:
    """Parts with those that a short gap divides made one.

    >>> joined([(0.0, 1.0), (1.25, 2.0), (4.0, 5.0)])
    [(0.0, 2.0), (4.0, 5.0)]
    """
    found = parts[:1]
    for start, end in parts[1:]:
        if start - found[-1][1] <= _GAP:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _scenes(path: Path) -> list[Span]:
    """Where the picture changes; a video without a change is one scene."""
    try:
        from scenedetect import AdaptiveDetector, detect
    except ImportError as error:
        raise ConfigurationError(_missing("scene", "PySceneDetect")) from error
    found = detect(str(path), AdaptiveDetector())
    return [(float(start.seconds), float(end.seconds)) for start, end in found] or [(0.0, length_of(path))]


def _missing(kind: str, library: str) -> str:
    return (
        f"Install {library} for --segments {kind}: `pip install 'affect-lightning[{kind}]'`. It is not installed. "
        f"--segments 5s needs nothing."
    )


_FINDERS: dict[str, Callable[[Path], list[Span]]] = {"speech": _speech, "scene": _scenes}
