"""Plugin `template`: puts what was heard, seen and said one after the other; no model.

Paper, Table 10: a description made without the subtitle and joined with it afterwards is already better than one that a
model wrote with the subtitle in sight. `language_models.py` asks a language model instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from affect_lightning.contracts import ClueMerger
from affect_lightning.errors import ConfigurationError


class TemplateMerger(ClueMerger):
    """Texts one after the other, each in a frame of its own; what is empty is left out with its frame."""

    def __init__(
        self, *, audio: str = "{}", visual: str = "{}", subtitle: str = 'The person says: "{}"', separator: str = " "
    ) -> None:
        """Check the frames.

        Args:
            audio: Frame of what was heard, with {} where the text goes.
            visual: Frame of what was seen.
            subtitle: Frame of what is said; our wording.
            separator: Between two of them.

        Raises:
            ConfigurationError: A frame lacks {}.
        """
        self._frames, self._separator = (audio, visual, subtitle), separator
        for name, frame in zip(("audio", "visual", "subtitle"), self._frames, strict=True):
            if "{}" not in frame:
                raise ConfigurationError(f"Put {{}} where the text goes into the frame {name}; got {frame!r}.")

    def merge(self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]) -> list[str]:
        """One text a clip."""
        return [self._joined(clues) for clues in zip(audio, visual, subtitles, strict=True)]

    def _joined(self, clues: tuple[str, str, str]) -> str:
        texts = (" ".join(clue.split()) for clue in clues)
        return self._separator.join(
            frame.replace("{}", text) for frame, text in zip(self._frames, texts, strict=True) if text
        )

    def identity(self) -> str:
        """`template` with its frames."""
        return f"template {self._frames!r} separator={self._separator!r}"
