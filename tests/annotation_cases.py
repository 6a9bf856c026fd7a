"""Raw clips and a configuration of `affect-lightning annotate`, for the tests of its stages and of the pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from clip_making import write_clip, write_wav

REFUSAL = "I'm sorry, but I cannot determine the emotions of a person."
RATE = 16_000


def tone(number: int, seconds: float = 0.2) -> np.ndarray:
    """A sound that no other number has."""
    times = np.arange(int(RATE * seconds)) / RATE
    return 0.4 * np.sin(2 * np.pi * (150 + 35 * number) * times)


def raw_clips(folder: Path, count: int, videos: Sequence[int] = ()) -> Path:
    """A table of clips: sound files, and for some numbers videos with sound; clip 1 has no subtitle."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["name,media,subtitle"]
    for number in range(count):
        if number in videos:
            times = range(0, 200, 40)
            path = write_clip(folder / f"c{number:02}.mp4", times, size=(64 + 16 * number, 48), waveform=tone(number))
        else:
            path = write_wav(folder / f"c{number:02}.wav", tone(number))
        lines.append(f"c{number:02},{path.name},{'' if number == 1 else f'Sentence {number}.'}")
    table = folder / "clips.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def written_config(path: Path, clips: Path, out: Path, stages: Sequence[str | Mapping[str, Any]]) -> Path:
    """A configuration file."""
    content = {"clips": str(clips), "out": str(out), "stages": list(stages)}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def asked_server(base_url: str, **more: Any) -> dict[str, Any]:
    """A choice of a plugin `openai` that asks that server."""
    return {"name": "openai", "model": "m", "base_url": base_url, "pause": 0.01, **more}


def part_kinds(prompt: Any) -> str:
    """What a prompt is for: `audio`, `visual`, or `merge` for plain words."""
    if isinstance(prompt, str):
        return "merge"
    kinds = {part["type"] for part in prompt}
    return "audio" if "input_audio" in kinds else "visual"


def key_of(prompt: Any) -> str:
    """A prompt as something to count by."""
    return json.dumps(prompt, sort_keys=True)
