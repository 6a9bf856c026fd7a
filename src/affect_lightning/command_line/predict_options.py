"""Short options of `predict`, put into the long ones before anything heavy is loaded (ours).

    --clips FOLDER a.mp4 more/*.mp4     the clips, with or without a shell that spells the pattern out
    --question "Does she hesitate?"     what is asked; repeatable
    --classes hesitant,certain          what the responses may mean (label extractor `choices`)
    --out FILE.jsonl                    the responses in one file; `prediction_results.py` writes it
    --segments 5s                       the clips are long and are cut; `timeline_results.py` does it

docs/data.md, "Clips to answer", tells the user of them. `trainer_commands.py` runs the command.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.errors import ConfigurationError

NAMES = ("clips", "question", "classes", "segments")
_EXTRACTOR = "benchmark.label_extractor"
_FILE = ".jsonl"


def with_predict_options(words: Sequence[str]) -> list[str]:
    """A command line whose short options are long ones; that of another command as it is.

    >>> with_predict_options(["predict", "--clips", "a.mp4", "b.mp4", "--question=Is he sad?"])
    ['predict', '--data.predict_video=["a.mp4", "b.mp4"]', '--model.predict_questions=["Is he sad?"]']

    Args:
        words: The command line, the command first.

    Raises:
        ConfigurationError: An option has no value, or stands twice.
    """
    if not words or words[0] != "predict":
        return list(words)
    kept: list[str] = []
    given: dict[str, list[str]] = {}
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        position += 1
        if name[2:] not in NAMES or not name.startswith("--"):
            kept.append(words[position - 1])
            continue
        values = [value] if equals else []
        while not equals and position < len(words) and not words[position].startswith("--"):
            values.append(words[position])
            position += 1
            if name != "--clips":
                break
        if not values or not all(values):
            raise ConfigurationError(f"{name} needs a value, such as {_example(name)}.")
        given.setdefault(name[2:], []).extend(values)
    return [*kept, *_long_options(given, kept)]


def _example(name: str) -> str:
    examples = {"--clips": "a folder", "--question": '"Does the person hesitate?"', "--classes": "hesitant,certain"}
    examples["--segments"] = "5s"
    return f"{name} {examples[name]}"


def _long_options(given: dict[str, list[str]], kept: Sequence[str]) -> list[str]:
    long = []
    if "clips" in given:
        clashing = next(
            (word for word in kept if word.startswith(("--data.predict_video", "--data.predict_table"))), None
        )
        if clashing is not None:
            raise ConfigurationError(f"Give --clips or {clashing.partition('=')[0]}, not both.")
        long.append(f"--data.{_media_option(given['clips'])}={_as_json(given['clips'])}")
    if "segments" in given:
        long.append(f"--segments={given['segments'][-1]}")
    if "question" in given:
        long.append(f"--model.predict_questions={_as_json(given['question'])}")
    if "classes" in given:
        classes, synonyms = _classes(",".join(given["classes"]))
        long += [f"--{_EXTRACTOR}=choices", f"--{_EXTRACTOR}.classes={_as_json(classes)}"]
        long += [f"--{_EXTRACTOR}.words={_as_json(synonyms)}"] if synonyms else []
    return long


def _classes(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Names and further words: `hesitant=yes|hesitates,certain=no`."""
    names, synonyms = [], {}
    for entry in text.split(","):
        name, _, others = entry.partition("=")
        names.append(name.strip())
        if others:
            synonyms[name.strip()] = [word.strip() for word in others.split("|")]
    return names, synonyms


def _media_option(clips: Sequence[str]) -> str:
    """`predict_audio` where every entry is a sound file, or a folder with sound files and no video."""
    from affect_lightning.corpora.media_folders import AUDIO_SUFFIXES, VIDEO_SUFFIXES

    def suffixes(entry: str) -> set[str]:
        path = Path(entry).expanduser()
        found = {inside.suffix.lower() for inside in path.iterdir()} if path.is_dir() else {path.suffix.lower()}
        return found & {*AUDIO_SUFFIXES, *VIDEO_SUFFIXES}

    return (
        "predict_audio"
        if all((found := suffixes(clip)) and found <= set(AUDIO_SUFFIXES) for clip in clips)
        else ("predict_video")
    )


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def take_file_of_responses(words: Sequence[str]) -> tuple[list[str], Path | None]:
    """The command line without `--out FILE.jsonl`, and that file.

    Args:
        words: The command line, the command first.

    Raises:
        ConfigurationError: The file is there already, or cannot be made.
    """
    if not words or words[0] != "predict":
        return list(words), None
    kept, file = list(words), None
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in ("--out", "--benchmark.out"):
            value = value if equals else words[position + 1] if position + 1 < len(words) else ""
            if value.lower().endswith(_FILE):
                file = Path(value).expanduser()
                kept = [*words[:position], *words[position + (1 if equals else 2) :]]
    if file is not None and file.exists():
        raise ConfigurationError(
            f"Choose another file with --out, or move {file} away: no result is written over another."
        )
    return kept, file
