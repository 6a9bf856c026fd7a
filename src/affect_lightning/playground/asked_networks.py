"""The networks of a playground, and what they say about a clip while they say it (ours).

A network is read from an exported folder, from a training's checkpoint or from a hub. It answers as `describe` does, in a
thread of its own, so that the text can be shown as it grows. `uploads.py` has the clip, `page.py` shows the answers.
"""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from affect_lightning.clip_answers.described_clip import DescribedClip
from affect_lightning.clip_answers.describing_network import AffectGPT
from affect_lightning.clip_answers.streams_off import streams_to_switch
from affect_lightning.contracts import ClipBatch, ClipRecord, StreamInput, Transcriber
from affect_lightning.corpora.own_clips import OWN_CORPUS
from affect_lightning.data.clip_splits import ClipSplits
from affect_lightning.describing.subtitles import hear_missing
from affect_lightning.errors import DataError
from affect_lightning.playground.uploads import HeldClip, Reading
from affect_lightning.plugin_loading import find_stream


@dataclass(frozen=True)
class Asked:
    """What is asked about a clip.

    Attributes:
        clip: In memory.
        subtitle: What the person says; empty where nothing is known.
        question: A kind (`describe`, `name`, `sentiment`) or a text of one's own.
        off: Streams that are switched off.
    """

    clip: HeldClip
    subtitle: str = ""
    question: str = "name"
    off: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a network says so far.

    Attributes:
        text: So far.
        described: The whole answer, once it is there.
        off: Streams that the network was asked without: those switched off, and those that the file lacks.
        problem: Why there is no answer; None if there is one.
    """

    text: str = ""
    described: DescribedClip | None = None
    off: tuple[str, ...] = ()
    problem: str | None = None


class AskedNetwork:
    """One network of a playground.

    Attributes:
        name: To show.
        streams: That can be switched off.
        reading: How it reads clips.
        says_how: Whether its folder says how clips are read; otherwise the defaults are taken.
    """

    def __init__(self, network: AffectGPT, name: str) -> None:
        """Take a network; one GPU is used if there is one."""
        self._network = network.to("cuda" if torch.cuda.is_available() else "cpu")
        self._lock = threading.Lock()
        self.name = name
        self.streams = streams_to_switch(network.configuration)
        stored = network.response_options.get("data")
        self.says_how = stored is not None
        options = ClipSplits(**(stored or {})).options
        self.reading = Reading(options.frame_count, options.frame_choice, options.sample_rate)

    @classmethod
    def read(cls, checkpoint: str) -> AskedNetwork:
        """Read an exported folder, a checkpoint of `fit`, or a model on a hub.

        Raises:
            CheckpointError: There is none, or it does not fit.
        """
        path = Path(checkpoint).expanduser()
        if not path.is_file():
            return cls(AffectGPT.from_pretrained(checkpoint), path.name)
        from affect_lightning.checkpoints import export_checkpoint

        with tempfile.TemporaryDirectory(prefix="affect-playground-") as folder:
            export_checkpoint(path, Path(folder) / "exported")
            return cls(AffectGPT.from_pretrained(Path(folder) / "exported"), path.name)

    def answers(self, asked: Asked) -> Iterator[Answer]:
        """The answer as it grows; the last one is whole, or says why there is none."""
        off = tuple(name for name in self.streams if name in asked.off or self._is_lacking(name, asked.clip))
        heard: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                described = self._described(asked, off, lambda texts: heard.put(Answer(texts[0], off=off)))
                heard.put(Answer(described.text, described, off))
            except DataError as error:
                heard.put(Answer(problem=str(error), off=off))
            except BaseException as error:  # raised again by whoever listens
                heard.put(error)

        with self._lock:
            worker = threading.Thread(target=work, daemon=True)
            worker.start()
            try:
                yield from _until_whole(heard)
            finally:
                worker.join()

    def _described(self, asked: Asked, off: Collection[str], listener: Any) -> DescribedClip:
        options: Mapping[str, Any] = {} if self.says_how else {"reading": {}}
        found = self._network.describe(
            frames=asked.clip.frames[self.reading.frames, self.reading.choice],
            sound=asked.clip.sounds[self.reading.sample_rate],
            sample_rate=self.reading.sample_rate,
            subtitle=asked.subtitle,
            question=asked.question,
            without=off,
            listener=listener,
            **options,
        )
        return cast(DescribedClip, found)

    def _is_lacking(self, name: str, clip: HeldClip) -> bool:
        return find_stream(name).kind in clip.lacks


def _until_whole(heard: queue.SimpleQueue[Answer | BaseException]) -> Iterator[Answer]:
    """What is heard, up to the whole answer; of several that wait only the newest is given."""
    while True:
        newest = heard.get()
        while isinstance(newest, Answer) and newest.described is None and newest.problem is None and not heard.empty():
            newest = heard.get()
        if isinstance(newest, BaseException):
            raise newest
        yield newest
        if newest.described is not None or newest.problem is not None:
            return


def heard_subtitle(transcriber: Transcriber, clip: HeldClip) -> str:
    """What a transcriber hears in a clip; empty for a clip without sound.

    Raises:
        AffectLightningError: The transcriber cannot.
    """
    if "sound" in clip.lacks:
        return ""
    rate, sound = next(iter(clip.sounds.items()))
    values = torch.from_numpy(sound)[None]
    stream = StreamInput(values, torch.ones(values.shape, dtype=torch.bool), rate)
    batch = ClipBatch([ClipRecord("clip", OWN_CORPUS)], [""], [""], [""], {"audio": stream})
    hear_missing(batch, transcriber)
    return batch.subtitles[0]
