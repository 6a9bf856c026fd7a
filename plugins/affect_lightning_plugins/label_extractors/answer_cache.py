"""Answers of a language model, kept on the disk as they come, so that a killed run goes on where it was.

One file of JSON lines for each combination of model revision and prompts; a line has the step (`labels` or
`sentiment`), what was judged and the model's raw answer. Processes share the file; a line that a crash cut off spoils
nothing but itself and is asked again. `prompted_extraction.py` reads and adds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.storage import LineLog, user_cache_folder

_FOLDER = "label_extractors"


class AnswerCache:
    """Answers by step and judged text, shared with other processes through one file.

    Attributes:
        sha256: Hash of the settings.
    """

    def __init__(self, folder: str | Path | None, title: str, settings: Mapping[str, Any]) -> None:
        """Name the file; nothing is read or made yet.

        Args:
            folder: Where the file is; None means `label_extractors` in the user's cache folder.
            title: Beginning of the file's name, for people.
            settings: Everything that an answer depends on beside the judged text; plain values. Other settings mean
                another file.
        """
        self.sha256 = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-.")[:80]
        place = Path(folder).expanduser() if folder is not None else user_cache_folder(_FOLDER)
        self._log = LineLog(place / f"{readable}-{self.sha256[:16]}.jsonl", shared=True)
        self._foreign = 0
        self._answers: dict[tuple[str, str], str] = {}

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._log.path

    @property
    def spoilt_lines(self) -> int:
        """Lines that could not be used, such as one that a crash cut off."""
        return self._log.damaged + self._foreign

    def find(self, step: str, judged: Iterable[str]) -> dict[str, str]:
        """Answers that are there, by judged text; also those that other processes have added meanwhile.

        Raises:
            DataError: The file cannot be read.
        """
        try:
            for record in self._log.new_records():
                self._take(record)
        except OSError as error:
            raise DataError(
                f"The cache of answers {self.path} cannot be read: {error.strerror or error}. Mend its rights, or give "
                f"the label extractor another cache_dir."
            ) from error
        return {text: self._answers[step, text] for text in judged if (step, text) in self._answers}

    def add(self, step: str, answers: Mapping[str, str]) -> None:
        """Keep answers by judged text; they outlive this process when this returns.

        Raises:
            DataError: The file cannot be written.
        """
        if not answers:
            return
        try:
            self._log.add(*({"step": step, "judged": judged, "answer": answer} for judged, answer in answers.items()))
        except OSError as error:
            raise DataError(
                f"The answers of the language model cannot be kept in {self.path}: {error.strerror or error}. Make "
                f"room, or give the label extractor another cache_dir."
            ) from error
        self._answers.update(((step, judged), answer) for judged, answer in answers.items())

    def _take(self, record: Any) -> None:
        entry = record if isinstance(record, dict) else {}
        step, judged, answer = entry.get("step"), entry.get("judged"), entry.get("answer")
        if isinstance(step, str) and isinstance(judged, str) and isinstance(answer, str):
            self._answers[step, judged] = answer
        else:
            self._foreign += 1
