"""Checks of parts that are not networks: face detectors, label extractors, readers of streams; clips to check with.

`suite.py` lists them, `describer_checks.py` has those of models of others, `shared_checks.py` checks their options.
Legend: B clips, T frames.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipBatch, ClipRecord, FaceBox, StreamInput
from affect_lightning.contracts.conformance import check_boxes, check_stream
from affect_lightning.contracts.label_checks import ConformanceError, check_labels, check_sentiments, described
from affect_lightning.plugin_loading import find_stream
from affect_lightning.testing.inputs import SoundInputs, StepInputs
from affect_lightning.testing.subject import Subject, require

RESPONSES = (
    "The person feels happy and a little surprised.",
    "她很生气，也很伤心。",
    "",
    "Frustration, then sadness: nobody has told her that they are late again.",
    "It is Tuesday.",
)
WORDS: tuple[tuple[str, ...], ...] = (("happy",), ("angry", "sad"), (), ("calm",))


def identity(subject: Subject) -> str:
    """The identity is one line of text, and the same for a newly built part."""
    name = subject.part.identity()
    require(isinstance(name, str) and name.strip() and "\n" not in name, "identity() to be one line of text", name)
    again = subject.build(seed=1).identity()
    require(again == name, f"the same identity of a newly built part: {name!r}", again)
    return name


def face_frames(count: int = 4, height: int = 120, width: int = 160) -> np.ndarray:
    """Pictures [T, H, W, 3] uint8 with a drawn face that moves, so that a detector may find something."""
    rows, columns = np.mgrid[:height, :width]
    frames = np.full((count, height, width, 3), (90, 110, 130), dtype=np.uint8)
    for index in range(count):
        x, y, size = width // 3 + 8 * index, height // 2, height // 4

        def disc(dx: float, dy: float, rx: float, ry: float, x: int = x, y: int = y, size: int = size) -> np.ndarray:
            return ((columns - x - dx * size) / (rx * size)) ** 2 + ((rows - y - dy * size) / (ry * size)) ** 2 < 1

        frames[index][disc(0, -0.15, 0.95, 1.3)] = (60, 40, 30)
        frames[index][disc(0, 0, 0.8, 1.1)] = (224, 178, 150)
        for side in (-0.32, 0.32):
            frames[index][disc(side, -0.15, 0.16, 0.09)] = (245, 245, 245)
            frames[index][disc(side, -0.15, 0.07, 0.08)] = (30, 20, 20)
            frames[index][disc(side, -0.38, 0.2, 0.04)] = (60, 40, 30)
        frames[index][disc(0, 0.18, 0.1, 0.14)] = (200, 150, 125)
        frames[index][disc(0, 0.55, 0.3, 0.09)] = (170, 60, 70)
    return frames


def face_shapes(subject: Subject) -> str:
    """One list of boxes a frame, best first, in pixels of that frame; frames are not written to; no frames give no lists."""
    found = 0
    for height, width in ((120, 160), (97, 61)):
        frames = face_frames(3, height, width)
        before = frames.copy()
        boxes = check_boxes(subject.part.detect(frames), frames=3)
        require(np.array_equal(frames, before), "frames as they were", "frames that were written to")
        for box in (box for row in boxes for box in row):
            inside = box.x0 < width and box.x1 > 0 and box.y0 < height and box.y1 > 0
            require(inside, f"boxes in pixels of a frame of {width} x {height}", str(box))
            found += 1
    check_boxes(subject.part.detect(face_frames(0)), frames=0)
    if not subject.part.finds_faces:
        require(not found, "no box of a part with finds_faces False", f"{found} boxes")
    return f"{found} boxes in 6 drawn faces"


def face_batches(subject: Subject) -> None:
    """A frame gives the same boxes alone, in another order, and again."""
    frames = face_frames()
    together = subject.part.detect(frames)
    alone = [subject.part.detect(frames[[index]])[0] for index in range(len(frames))]
    turned = subject.part.detect(np.ascontiguousarray(frames[::-1]))[::-1]
    for found, how in ((alone, "alone"), (turned, "in another order"), (subject.part.detect(frames), "again")):
        _require_same_boxes(together, found, f"the same boxes {how}")


def _require_same_boxes(wanted: list[list[FaceBox]], found: list[list[FaceBox]], why: str) -> None:
    def numbers(boxes: list[list[FaceBox]]) -> list[float]:
        return [edge for row in boxes for box in row for edge in (box.x0, box.y0, box.x1, box.y1, box.score)]

    counts = [len(row) for row in wanted], [len(row) for row in found]
    require(counts[0] == counts[1], f"{why}: {counts[0]} of them", f"{counts[1]}")
    near = np.allclose(numbers(wanted), numbers(found), rtol=1e-3, atol=0.1)
    require(near, f"{why}: {numbers(wanted)[:5]}", f"{numbers(found)[:5]}")


def pickles(subject: Subject) -> None:
    """A new part pickles, as it must to reach the loader's worker processes, and gives the same there."""
    try:
        other = pickle.loads(pickle.dumps(subject.build()))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ConformanceError(
            "a part that pickles before its first use", f"{type(error).__name__}: {error}"
        ) from error
    frames = face_frames()
    _require_same_boxes(subject.part.detect(frames), other.detect(frames), "the same boxes after pickling")
    require(other.identity() == subject.part.identity(), "the same identity after pickling", other.identity())


def label_shapes(subject: Subject) -> str:
    """A list of emotion words for every response, none twice; a sentiment for every list of words; nothing for nothing."""
    part = subject.part
    found = check_labels(part.extract(list(RESPONSES)), count=len(RESPONSES))
    for words in found:
        require(len(set(words)) == len(words), "each word once", words)
    require(not found[RESPONSES.index("")], "no word in an empty response", found[RESPONSES.index("")])
    check_sentiments(part.sentiment([list(words) for words in WORDS]), count=len(WORDS))
    check_labels(part.extract([]), count=0)
    check_sentiments(part.sentiment([]), count=0)
    return f"{sum(map(len, found))} words in {len(RESPONSES)} responses"


def label_batches(subject: Subject) -> None:
    """A response gives the same words, and words the same sentiment, alone, in another order, and again."""
    part, words = subject.part, [list(one) for one in WORDS]
    for call, given, what in ((part.extract, list(RESPONSES), "words"), (part.sentiment, words, "sentiments")):
        together = list(call(given))
        alone = [call([one])[0] for one in given]
        turned = list(call(given[::-1]))[::-1]
        for found, how in ((alone, "alone"), (turned, "in another order"), (list(call(given)), "again")):
            require(found == together, f"the same {what} {how}: {together}", f"{found}")


def clip_batch(clips: int = 3, sample_rate: int = 16_000) -> ClipBatch:
    """Decoded clips of different length, with pictures and sound."""
    pictures, sound = StepInputs.pictures(), SoundInputs.random(sample_rate)
    order = [index % 3 for index in range(clips)]
    return ClipBatch(
        records=[ClipRecord(name=f"clip{index}", corpus="contract") for index in range(clips)],
        questions=["How does the person feel?"] * clips,
        responses=["The person feels happy.", "The person feels angry and hurt.", "Calm."][:clips],
        subtitles=["I won!", "", "They are late again."][:clips],
        streams={
            "face": StreamInput(pictures.values[order], pictures.mask[order]),
            "frame": StreamInput(255 - pictures.values[order], pictures.mask[order]),
            "audio": StreamInput.of_sound(sound.waveform[order], sound.lengths[order], sample_rate),
        },
    )


def picked(batch: ClipBatch, clips: list[int]) -> ClipBatch:
    """The clips of a batch in another order, or some of them."""
    texts: dict[str, Any] = {
        name: [getattr(batch, name)[index] for index in clips]
        for name in ("records", "questions", "responses", "subtitles")
    }
    # Texts and tensors together, so that no batch is ever of two sizes.
    streams = {name: stream.with_each(lambda value: value[clips]) for name, stream in batch.streams.items()}
    return ClipBatch(**texts, streams=streams, valid=batch.valid[clips])


def stream_files(subject: Subject) -> str:
    """Files are named by paths; a clip whose files are not there is refused or has nothing; so in a pickled copy too."""
    try:
        readers = (subject.part, pickle.loads(pickle.dumps(subject.build())))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ConformanceError(
            "a reader that pickles before its first use", f"{type(error).__name__}: {error}"
        ) from error
    group = find_stream(subject.name).encoder_group
    require(group in ("video_encoders", "series_encoders"), "the kind pictures or series", repr(subject.part.kind))
    place = Path("/no/such/folder")
    record = ClipRecord("clip", "contract", video=place / "clip.mp4", audio=place / "clip.wav")
    for reader in readers:
        files = reader.files(record)
        named = isinstance(files, Mapping) and all(isinstance(path, Path) for path in files.values())
        require(named, "a mapping of roles to paths", described(files))
        try:
            found = check_stream(reader.read(record), kind=reader.kind)
            require(not len(found), "OSError, ValueError or nothing read where no file is", f"{len(found)} steps")
        except (OSError, ValueError):
            continue
    return f"{len(files)} files a clip, encoded by {group}"
