"""Checks of models of others: cue describers, clue mergers, transcribers.

`suite.py` lists them, `pipeline_part_checks.py` makes the clips. Legend: B clips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import torch

from affect_lightning.contracts import ClipBatch, StreamInput
from affect_lightning.contracts.conformance import check_texts, check_transcripts
from affect_lightning.contracts.describers import Modality
from affect_lightning.contracts.label_checks import described
from affect_lightning.plugin_loading import encoded_streams
from affect_lightning.testing.pipeline_part_checks import clip_batch, picked
from affect_lightning.testing.subject import Subject, require

CLUES = (
    ("The voice is loud.", "The mouth is open.", "I won!"),
    ("", "The head is low.", ""),
    ("The voice is soft.", "", "They are late again."),
    ("", "", ""),
)
"""What was heard, seen and said in four clips."""


def cue_shapes(subject: Subject) -> str:
    """A text for every clip, with and without a subtitle; `answers` gives each of them once."""
    part, batch = subject.part, clip_batch()
    found = check_texts(part.describe(batch), count=3, what="texts")
    check_texts(part.describe(replace(batch, subtitles=[""] * 3)), count=3, what="texts")
    pairs = [pair for answered in part.answers(batch) for pair in answered.items()]
    require(sorted(pairs) == list(enumerate(found)), f"the texts of describe from answers(): {found}", f"{pairs}")
    return f"such as {found[0][:60]!r}"


def cue_streams(subject: Subject) -> str:
    """The modality and the streams are known ones, and no other stream changes a text."""
    part, batch = subject.part, clip_batch()
    require(
        part.modality in get_args(Modality), f"a modality from {', '.join(get_args(Modality))}", repr(part.modality)
    )
    known = encoded_streams()
    named = isinstance(part.streams, tuple) and set(part.streams) <= set(known)
    require(named, f"a tuple of streams from {', '.join(known)}", described(part.streams))
    announced = {name: stream for name, stream in batch.streams.items() if name in part.streams}
    expected, found = part.describe(batch), part.describe(replace(batch, streams=announced))
    require(
        found == expected, f"the same texts from {', '.join(part.streams) or 'no stream'} alone: {expected}", f"{found}"
    )
    return f"{part.modality}: {', '.join(part.streams) or 'no stream'}"


def cue_batches(subject: Subject) -> None:
    """A clip gets the same text alone, in another order, and again."""
    _require_same_in_any_batch(subject.part.describe)


def cue_padding(subject: Subject) -> None:
    """Neither padding frames nor sound beyond a clip's length changes its text."""
    part, batch = subject.part, clip_batch()
    expected = part.describe(batch)
    pictures = {name: _other_padding(batch.streams[name]) for name in ("face", "frame")}
    for changed, what in (
        (pictures, "frames that are no part of the clip"),
        ({"audio": _other_padding(batch.streams["audio"])}, "sound beyond the clip's length"),
    ):
        found = part.describe(replace(batch, streams={**batch.streams, **changed}))
        require(found == expected, f"the same texts whatever {what}: {expected}", f"{found}")


def merged_shapes(subject: Subject) -> str:
    """A text for every clip, and nothing for a clip of which nothing is known."""
    part = subject.part
    audio, visual, subtitles = (list(column) for column in zip(*CLUES, strict=True))
    found = check_texts(part.merge(audio, visual, subtitles), count=len(CLUES), what="texts")
    require(not found[-1], "no text for a clip of which nothing is known", found[-1])
    check_texts(part.merge([], [], []), count=0, what="texts")
    return f"such as {found[0][:60]!r}"


def merged_batches(subject: Subject) -> None:
    """A clip gets the same text alone, in another order, and again."""

    def merge(clues: list[tuple[str, str, str]]) -> list[str]:
        return subject.part.merge(*(list(column) for column in zip(*clues, strict=True)))

    clues = list(CLUES)
    together = merge(clues)
    alone = [merge([one])[0] for one in clues]
    for found, how in ((alone, "alone"), (merge(clues[::-1])[::-1], "in another order"), (merge(clues), "again")):
        require(found == together, f"the same texts {how}: {together}", f"{found}")


def transcript_shapes(subject: Subject) -> str:
    """A transcript for every clip, and no words for a clip without sound."""
    part, batch = subject.part, clip_batch()
    found = check_transcripts(part.transcribe(batch), count=3)
    sound = batch.streams["audio"]
    silent = replace(sound, mask=torch.zeros_like(sound.mask))
    texts = [one.text for one in part.transcribe(replace(batch, streams={**batch.streams, "audio": silent}))]
    require(not any(texts) or not _hears(part, batch), "no words for clips without sound", f"{texts}")
    return f"such as {found[0].text[:60]!r}"


def _hears(part: Any, batch: ClipBatch) -> bool:
    """False for a part that gives the words of a file, whatever the sound is."""
    sound = batch.streams["audio"]
    turned = replace(sound, values=sound.values.flip(0), mask=sound.mask.flip(0))
    return part.transcribe(replace(batch, streams={**batch.streams, "audio": turned})) != part.transcribe(batch)


def transcript_padding(subject: Subject) -> None:
    """Sound beyond a clip's length changes no transcript."""
    part, batch = subject.part, clip_batch()
    expected = part.transcribe(batch)
    streams = {**batch.streams, "audio": _other_padding(batch.streams["audio"])}
    found = part.transcribe(replace(batch, streams=streams))
    require(found == expected, f"the same transcripts whatever sound is beyond: {expected}", f"{found}")


def transcript_batches(subject: Subject) -> None:
    """A clip gets the same transcript alone, in another order, and again."""
    _require_same_in_any_batch(subject.part.transcribe)


def _require_same_in_any_batch(call: Callable[[ClipBatch], list[Any]]) -> None:
    batch = clip_batch()
    together = call(batch)
    alone = [call(picked(batch, [clip]))[0] for clip in range(3)]
    turned = call(picked(batch, [2, 1, 0]))[::-1]
    for found, how in ((alone, "alone"), (turned, "in another order"), (call(batch), "again")):
        require(found == together, f"the same {how}: {together}", f"{found}")


def _other_padding(stream: StreamInput) -> StreamInput:
    values = stream.values.clone()
    values[~stream.mask] = 77 if values.dtype == torch.uint8 else 0.9
    return replace(stream, values=values)
