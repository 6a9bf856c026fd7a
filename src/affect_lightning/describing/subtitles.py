"""A clip without a subtitle gets one from a transcriber, and what was heard is kept with its source and language.

Paper: Section 3.1 (the prompt shows the subtitle); clips of one's own have none. `answering.py` and
`subtitle_callback.py` call this. Legend: B clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from affect_lightning.contracts import ClipBatch, Transcriber
from affect_lightning.contracts.conformance import check_transcripts
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import held_to_contract


@dataclass(frozen=True)
class HeardSubtitle:
    """A subtitle that a transcriber wrote.

    Attributes:
        subtitle: The words; empty where nobody speaks.
        subtitle_source: Identity of the transcriber.
        subtitle_language: Code such as `en`; empty where it is not known.
    """

    subtitle: str
    subtitle_source: str
    subtitle_language: str

    def to_row(self) -> dict[str, str]:
        """The fields, for a line beside the result."""
        return asdict(self)


def hear_missing(batch: ClipBatch, transcriber: Transcriber) -> dict[int, HeardSubtitle]:
    """Transcribe the clips of a batch that have no subtitle, and put the words into `batch.subtitles`.

    Args:
        batch: Clips, with the stream `audio`; its subtitles are filled in place.
        transcriber: Called once, with those clips only; not at all where every clip has a subtitle.

    Returns:
        What was heard, by the clip's position.

    Raises:
        ConfigurationError: The sound of the clips was not read.
        ContractError: The transcriber breaks its contract.
    """
    silent = [index for index, subtitle in enumerate(batch.subtitles) if not subtitle.strip()]
    if not silent:
        return {}
    if "audio" not in batch.streams:
        raise ConfigurationError(
            "A transcriber needs the sound of the clips, which is not read. Add the stream audio to model.inputs, or leave "
            "the transcriber out."
        )
    with held_to_contract(transcriber):
        found = check_transcripts(transcriber.transcribe(picked_clips(batch, silent)), count=len(silent))
        source = transcriber.identity()
    heard = {}
    for index, transcript in zip(silent, found, strict=True):
        batch.subtitles[index] = " ".join(transcript.text.split())
        heard[index] = HeardSubtitle(batch.subtitles[index], source, transcript.language)
    return heard


def picked_clips(batch: ClipBatch, clips: list[int]) -> ClipBatch:
    """Some clips of a batch, with their streams; cached features are left out."""
    texts: dict[str, Any] = {
        name: [getattr(batch, name)[index] for index in clips]
        for name in ("records", "questions", "responses", "subtitles")
    }
    streams = {name: stream.with_each(lambda value: value[clips]) for name, stream in batch.streams.items()}
    return ClipBatch(**texts, streams=streams, valid=batch.valid[clips])


def row_of(heard: Mapping[int, HeardSubtitle], index: int) -> dict[str, str]:
    """What a line says of a clip's subtitle; nothing for one that had a subtitle."""
    return heard[index].to_row() if index in heard else {}
