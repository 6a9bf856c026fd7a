"""AffectGPT with `describe`: `AffectGPT.from_pretrained(FOLDER).describe("clip.mp4", subtitle="...")` (ours).

The way is that of `affect-lightning predict`: the data module reads the clips as the exported folder says, the network
answers in the same arithmetic, the folder's label extractor reads the answer. So the answers are equal to those of the
command. `model` may not import `data`, so the network there has no such method. `asked_clips.py` has the clips; it is
imported when the first clip is asked about, because it loads what decodes them. Lightning is never loaded.
Legend: N pictures, S samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from affect_lightning.clip_answers.described_clip import DescribedClip, seen_of
from affect_lightning.clip_answers.hub_folders import exported_place
from affect_lightning.clip_answers.streams_off import check_streams_off, with_streams_off
from affect_lightning.contracts import ClipBatch, LabelExtractor, ResponseRow
from affect_lightning.device_arithmetic import fitting_precision
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.model import AffectGPT as Network
from affect_lightning.model.watched_answers import heard_text, seen_fusion
from affect_lightning.plugin_loading import build_part

if TYPE_CHECKING:
    from affect_lightning.clip_answers.asked_clips import ClipPlaces

_DECODING = ("max_new_tokens", "temperature", "top_p", "seed")
_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class AffectGPT(Network):
    """The network, able to describe clips of one's own; see `affect_lightning.model.AffectGPT`."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, revision: str | None = None) -> AffectGPT:
        """Read a folder of `affect-lightning export`, or a model on a Hugging Face hub. The result is in eval mode.

        Args:
            folder: The folder, or OWNER/NAME on the hub.
            revision: Commit, tag or branch on the hub; a commit never changes.

        Raises:
            CheckpointError: There is none, or it is incomplete, foreign or does not fit.
        """
        return cast(AffectGPT, super().from_pretrained(exported_place(folder, revision)))

    def describe(
        self,
        clips: ClipPlaces | None = None,
        *,
        subtitle: str | Sequence[str] | None = None,
        sound: ClipPlaces | np.ndarray | None = None,
        frames: np.ndarray | None = None,
        sample_rate: int | None = None,
        question: str | None = None,
        without: Collection[str] = (),
        listener: Callable[[Sequence[str]], None] | None = None,
        reading: Mapping[str, Any] | None = None,
        **decoding: Any,
    ) -> DescribedClip | list[DescribedClip]:
        """Ask about clips, as `affect-lightning predict` does.

        Args:
            clips: A video file; a folder, a pattern such as `clips/*.mp4`, or a list of these. None for a clip in memory.
            subtitle: What the person says; for several clips, one text each.
            sound: Sound files, one for each video; None means the videos' own tracks. Of a clip in memory: mono, floats [S]
                in [-1, 1].
            frames: Of a clip in memory: RGB, uint8 [N, H, W, 3], spread evenly over the clip.
            sample_rate: Of `sound` in memory, in Hz.
            question: `describe`, `name`, `sentiment`, `task`, or a question of your own; None means as the folder says.
            without: Streams to switch off, such as `audio` or `text`: the network answers as if it had none of them.
            listener: Is called with the answers so far, one text for each clip of a batch, while they are written.
            reading: Options of `ClipDataModule`, over those of the folder. A folder of `import` needs them.
            **decoding: Of `generate` (max_new_tokens, temperature, top_p, seed), over those of the folder.

        Returns:
            A `DescribedClip` for a file or a clip in memory, else a list with one for each clip in the order given. A clip
            of several that cannot be read has a `problem`.

        Raises:
            ConfigurationError: What is given does not go together, or an option is wrong.
            DataError: The only clip, or every clip, cannot be read.
        """
        from affect_lightning.clip_answers.asked_clips import AskedClips, GivenClips

        given = GivenClips(clips, subtitle, sound, frames, sample_rate)
        options = self.decoding_options(decoding)
        check_streams_off(self.configuration, without)
        asked = AskedClips(given, self.reading_options(reading, question))
        described: dict[str, DescribedClip] = {}
        with heard_text(self, listener):
            for batch in asked.batches():
                described |= self._described(with_streams_off(batch, without), options)
        if not described:
            raise DataError("Give a clip that can be read: " + " ".join(asked.problems.values()))
        if given.are_one:
            return described[asked.names[0]]
        return [
            described.get(name) or DescribedClip(name, problem=asked.problems.get(name, "it was left out."))
            for name in asked.names
        ]

    def reading_options(self, given: Mapping[str, Any] | None, question: str | None) -> dict[str, Any]:
        """The options of `ClipDataModule`: those of the folder, and what the caller lays over them.

        Args:
            given: By name; see `describe`.
            question: See `describe`.

        Raises:
            ConfigurationError: The folder says nothing of reading, and neither does the caller.
        """
        stored = self.response_options.get("data")
        if stored is None and given is None:
            raise ConfigurationError(
                "Say how clips are read, such as reading={'frames': 8}: the network was not read from a folder of "
                "`affect-lightning export`, which says so. reading={} takes the defaults of ClipDataModule."
            )
        asked = {} if question is None else {"test_question": question}
        configuration = self.configuration
        streams = {"inputs": configuration.inputs, "fused_streams": configuration.fused_streams}
        return {**(stored or {}), **streams, **(given or {}), **asked}

    def decoding_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of `generate`: those of the folder, and what the caller lays over them.

        Raises:
            ConfigurationError: There is no such option.
        """
        unknown = sorted(given.keys() - set(_DECODING))
        if unknown:
            raise ConfigurationError(f"`describe` has no option {', '.join(unknown)}; it takes {', '.join(_DECODING)}.")
        stored = self.response_options.get("model", {})
        return {**{name: stored[name] for name in _DECODING if name in stored}, **given}

    def responses(self, batch: ClipBatch, decoding: Mapping[str, Any]) -> list[str]:
        """What `generate` says of a batch, on the device of the network and in the arithmetic of `predict`."""
        device = next(self.parameters()).device
        with _arithmetic(device):
            return self.generate(batch.to(device), **decoding)

    def _described(self, batch: ClipBatch, decoding: Mapping[str, Any]) -> dict[str, DescribedClip]:
        """What is said about the clips of a batch, by their names."""
        from affect_lightning.unibench.scoring.predictions import Prediction
        from affect_lightning.unibench.scoring.set_answers import answers_by_question

        with seen_fusion(self) as weights:
            responses = self.responses(batch, decoding)
        rows = [Prediction.of_response(row) for row in ResponseRow.of_batch(batch, batch.questions, responses)]
        answers = answers_by_question(rows, self._label_extractor())
        return {
            row.name: DescribedClip(
                row.name,
                row.response,
                tuple(answers[row.corpus, row.name, row.question]["labels"]),
                answers[row.corpus, row.name, row.question]["sentiment"],
                row.question,
                batch.subtitles[index],
                fusion_weights={name: weight[index].cpu().numpy() for name, weight in weights.items()},
                **seen_of(batch, index),
            )
            for index, row in enumerate(rows)
        }

    def _label_extractor(self) -> LabelExtractor:
        """The folder's; built once, because one may load a language model."""
        if "_extractor" not in self.__dict__:
            choice = self.response_options.get("benchmark", {}).get("label_extractor") or "rules"
            self.__dict__["_extractor"] = build_part("label_extractors", choice)
        return cast(LabelExtractor, self.__dict__["_extractor"])


def _arithmetic(device: torch.device) -> AbstractContextManager[Any]:
    """The arithmetic in which `predict` computes on the device."""
    dtype = _DTYPES.get(fitting_precision(device.type))
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
