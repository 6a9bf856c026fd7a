"""Descriptions of tables of your own that a model wrote: faults are counted, and those without an emotion word left out.

Paper: Section 2 (descriptions are the answers that training learns). Who lets a model describe clips saves what it thinks,
"I'm sorry, I cannot help" and "Error: CUDA out of memory" too, and a training would learn to say so. `clip_sources.py` asks
when it reads a training table, `inspection` when `doctor` does. Table 3 filters general training sets by emotion words.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.plugin_loading import PluginChoice, build_part, held_to_contract
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.prompting.cleaning.thoughts import without_thoughts

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DescriptionFaults:
    """Clips whose description is no description, by name.

    Attributes:
        failed: The message of a call or a program that failed.
        refused: A refusal, and nothing else.
        thoughts: With a model's thoughts.
    """

    failed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()

    @property
    def texts(self) -> list[tuple[tuple[str, ...], str]]:
        """The clips of each fault, and what it is."""
        found = [
            (self.failed, "the description is an error message; write it again, or remove the row"),
            (self.refused, "the description is a refusal; write it again, or remove the row"),
            (self.thoughts, "the description holds a model's thoughts, which are taken out"),
        ]
        return [(names, text) for names, text in found if names]


def faults_of_descriptions(clips: Sequence[ClipRecord]) -> DescriptionFaults:
    """What is wrong with the descriptions of clips."""
    failed, refused, thoughts = [], [], []
    for clip in clips:
        cleaned = clean_response(clip.description) if clip.description else None
        if cleaned is not None and cleaned.failed:
            failed.append(clip.name)
        elif cleaned is not None and cleaned.refused:
            refused.append(clip.name)
        elif without_thoughts(clip.description) != clip.description:
            thoughts.append(clip.name)
    return DescriptionFaults(tuple(failed), tuple(refused), tuple(thoughts))


def without_faults(path: Path, clips: Sequence[ClipRecord]) -> list[ClipRecord]:
    """The clips of a training table with their descriptions freed of thoughts; a warning counts what is wrong.

    A description that is nothing but a thought stays, and is counted: an empty one would be another truth.
    """
    for names, text in faults_of_descriptions(clips).texts:
        _log.warning("%s: %d of %d clips (%s): %s.", path, len(names), len(clips), shown(names), text)
    return [replace(clip, description=without_thoughts(clip.description).strip() or clip.description) for clip in clips]


def with_emotion_words(clips: Sequence[ClipRecord], extractor: PluginChoice) -> list[ClipRecord]:
    """The clips that say something about emotion: with labels or a sentiment, or a word in question or description.

    Paper, Section 5: the extractor of Appendix E reads each pair of instruction and answer, and pairs that give no label are
    removed. A log line counts what is left out.

    Args:
        clips: To train on.
        extractor: Plugin of the group label_extractors.

    Raises:
        PluginError: The extractor is unknown, cannot be built or breaks its contract.
    """
    told = [not clip.labels and clip.sentiment is None for clip in clips]
    texts = [f"{clip.question}\n{clip.description}".strip() for clip, asked in zip(clips, told, strict=True) if asked]
    part = build_part("label_extractors", extractor)
    with held_to_contract(part):
        found = iter(part.extract(texts))
    kept = [clip for clip, asked in zip(clips, told, strict=True) if not asked or next(found)]
    _log.info(
        "%d of %d training clips are left out, because they have no emotion word.", len(clips) - len(kept), len(clips)
    )
    return kept
