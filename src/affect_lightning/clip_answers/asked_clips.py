"""Clips to ask about: files as `predict` reads them, or numpy pictures and sound, as batches (ours).

`describing_network.py` asks about them. Legend: N pictures, S samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from affect_lightning.contracts import ClipBatch, ClipRecord
from affect_lightning.corpora.own_clips import OWN_CORPUS
from affect_lightning.data.clip_splits import ClipSplits
from affect_lightning.data.dataset import ClipDataset
from affect_lightning.data.loading import ClipCollator
from affect_lightning.data.media_files import HeldMedia, MediaFiles
from affect_lightning.data.ordering import SampleKey
from affect_lightning.errors import ConfigurationError

HELD_NAME = "clip"  # of a clip in memory
ClipPlaces: TypeAlias = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class GivenClips:
    """What the caller gave; see `AffectGPT.describe` for the other attributes.

    Attributes:
        media: The files of one clip, on disk or in memory, instead of `clips`, `sound` and `frames`; nothing of them is kept.
    """

    clips: ClipPlaces | None = None
    subtitle: str | Sequence[str] | None = None
    sound: ClipPlaces | np.ndarray | None = None
    frames: np.ndarray | None = None
    sample_rate: int | None = None
    media: MediaFiles | None = None

    @property
    def are_one(self) -> bool:
        """Whether one answer is wanted, not a list: a single file, or a clip in memory."""
        return self.clips is None or (isinstance(self.clips, (str, Path)) and Path(self.clips).expanduser().is_file())


class AskedClips:
    """Batches of the clips that were given.

    Attributes:
        names: Of the clips, in the order given.
        problems: Why a clip could not be read, by name; complete when the batches were gone through.
    """

    def __init__(self, given: GivenClips, options: Mapping[str, Any]) -> None:
        """List them; nothing is decoded yet.

        Args:
            given: The clips.
            options: Of `ClipDataModule`.

        Raises:
            ConfigurationError: What is given does not go together, or an option is wrong.
            DataError: A file is missing, or none opens.
        """
        self.problems: dict[str, str] = {}
        self._held = _held_media(given) if given.clips is None else None
        files = {} if given.clips is None else _file_options(given)
        self._data = ClipSplits(**{**options, **files})
        if self._held is None:
            self._data.setup("predict")
            self.names = [clip.name for clip in self._data.predict_clips]
        else:
            self.names = [HELD_NAME]
            text = given.subtitle if isinstance(given.subtitle, str) else ""
            self._record = ClipRecord(HELD_NAME, OWN_CORPUS, subtitle_english=text, subtitle_chinese=text)

    def batches(self) -> Iterator[ClipBatch]:
        """The clips that can be read, in the order of `predict`."""
        yield from self._data.predict_dataloader() if self._held is None else self._held_batch(self._held)
        self.problems |= {clip["name"]: clip["reason"] for clip in self._data.quarantined("predict")}

    def _held_batch(self, held: MediaFiles) -> Iterable[ClipBatch]:
        data = self._data
        reader = ClipDataset([self._record], data.options, data.test_questions, data.cropper_for([self._record]))
        sample = reader.read(SampleKey(0), self._record, held)
        batch = ClipCollator(data.options.sample_rate)([sample]).batch
        return [] if batch is None else [batch]


def _held_media(given: GivenClips) -> MediaFiles:
    """The clip in memory, as far as it can be judged without knowing what is wanted of it."""
    if given.media is not None:
        return replace(given.media, is_passing=True)
    if isinstance(given.sound, (str, Path)) or not (given.sound is None or isinstance(given.sound, np.ndarray)):
        raise ConfigurationError("Give `sound` as an array: there is no clip that the sound file belongs to.")
    if given.subtitle is not None and not isinstance(given.subtitle, str):
        raise ConfigurationError(f"Give one subtitle, as a text, for the one clip; got {given.subtitle!r}.")
    if given.frames is None and given.sound is None and given.subtitle is None:
        raise ConfigurationError("Give a clip: a path, a list of paths, or `frames` and `sound` as arrays.")
    if (given.sound is None) != (given.sample_rate is None):
        raise ConfigurationError("Give `sound` together with its `sample_rate` in Hz, such as sample_rate=44100.")
    return MediaFiles(held=HeldMedia(given.frames, given.sound, given.sample_rate or HeldMedia.sample_rate))


def _file_options(given: GivenClips) -> dict[str, Any]:
    """The options of `ClipDataModule` that name the files."""
    if given.frames is not None or isinstance(given.sound, np.ndarray) or given.sample_rate is not None:
        raise ConfigurationError("Give paths, or `frames` and `sound` as arrays with `sample_rate`; not both.")
    subtitle = given.subtitle if given.subtitle is None or isinstance(given.subtitle, str) else list(given.subtitle)
    return {"predict_video": _texts(given.clips), "predict_audio": _texts(given.sound), "predict_subtitle": subtitle}


def _texts(places: Any) -> str | list[str] | None:
    if places is None or isinstance(places, (str, Path)):
        return None if places is None else str(places)
    return [str(place) for place in places]
