"""Answers of a language model, kept on the disk as they come, so that a killed run goes on where it was.

One file of JSON lines for each combination of model revision and prompts; a line has the step (`labels` or
`sentiment`), what was judged and the model's raw answer. Lines are only ever appended, a whole batch by one write to a
file opened for appending, which Linux does not interleave with other processes; each write begins on a new line, so a
line that a crash cut off spoils nothing but itself and is asked again. `prompted_extraction.py` reads and adds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.user_cache import user_cache_folder

_FOLDER = "label_extractors"


class AnswerCache:
    """Answers by step and judged text, shared with other processes through one file.

    Attributes:
        path: Of the file.
        sha256: Hash of the settings.
        spoilt_lines: Lines that could not be read, such as one that a crash cut off.
    """

    def __init__(self, folder: str | Path | None, title: str, settings: Mapping[str, Any]) -> None:
        """Name the file; nothing is read or made yet.

        Args:
            folder: Where the file is; None means `label_extractors` in the user's cache.
            title: Beginning of the file's name, for people.
            settings: Everything that an answer depends on beside the judged text; plain values. Other settings mean
                another file.
        """
        self.sha256 = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-.")[:80]
        place = Path(folder).expanduser() if folder is not None else user_cache_folder(_FOLDER)
        self.path = place / f"{readable}-{self.sha256[:16]}.jsonl"
        self.spoilt_lines = 0
        self._answers: dict[tuple[str, str], str] = {}
        self._read_to = 0

    def find(self, step: str, judged: Iterable[str]) -> dict[str, str]:
        """Answers that are there, by judged text; also those that other processes have added meanwhile.

        Raises:
            DataError: The file cannot be read.
        """
        self._read_on()
        return {text: self._answers[step, text] for text in judged if (step, text) in self._answers}

    def add(self, step: str, answers: Mapping[str, str]) -> None:
        """Keep answers by judged text; they outlive this process when this returns.

        Raises:
            DataError: The file cannot be written.
        """
        if not answers:
            return
        lines = [{"step": step, "judged": judged, "answer": answer} for judged, answer in answers.items()]
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        # A lone surrogate cannot be written as UTF-8, so it is written as JSON's escape.
        payload = ("\n" + text).encode("utf-8", errors="backslashreplace")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                while os.write(file, payload) < len(payload):  # a short write left a torn line: write all again
                    continue
            finally:
                os.close(file)
        except OSError as error:
            raise DataError(
                f"The answers of the language model cannot be kept in {self.path}: {error.strerror or error}. Make "
                f"room, or give the label extractor another cache_dir."
            ) from error
        self._answers.update(((step, judged), answer) for judged, answer in answers.items())

    def _read_on(self) -> None:
        """Take in the complete lines behind those already read."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_to)
                content = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(
                f"The cache of answers {self.path} cannot be read: {error.strerror or error}. Mend its rights, or give "
                f"the label extractor another cache_dir."
            ) from error
        complete = content[: content.rfind(b"\n") + 1]
        self._read_to += len(complete)
        for line in filter(None, complete.split(b"\n")):
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            step, judged, answer = entry["step"], entry["judged"], entry["answer"]
        except (ValueError, KeyError, TypeError):  # a line that a crash cut off
            self.spoilt_lines += 1
            return
        if isinstance(step, str) and isinstance(judged, str) and isinstance(answer, str):
            self._answers[step, judged] = answer
        else:
            self.spoilt_lines += 1
