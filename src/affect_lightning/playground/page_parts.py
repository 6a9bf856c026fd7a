"""The parts of the playground's page that show a clip and its answers, as HTML (ours).

Every text is escaped, whatever a model, a file name or a visitor wrote. Pictures stand in the HTML itself, so nothing is
written for them and nothing is loaded. `parts.html` and `parts.css` have the form, `page.py` puts the parts into the page.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, select_autoescape

from affect_lightning.metrics import Taxonomy
from affect_lightning.playground.asked_networks import Answer
from affect_lightning.playground.pictures import (
    sectors_of,
    shown_picture,
    sound_picture,
    weights_picture,
    wheels_picture,
)
from affect_lightning.playground.uploads import HeldClip

_MOST_PICTURES = 16  # shown of a clip; our choice: the paper's networks see 8


def clip_part(clip: HeldClip) -> str:
    """A clip as it was given: the frames of the network that takes the most of them, the waveform and the pitch."""
    frames = [] if "pictures" in clip.lacks else _pictures(max(clip.frames.values(), key=len))
    rate, waveform = next(iter(clip.sounds.items()))
    sound = None if "sound" in clip.lacks else _inline(sound_picture(waveform, rate))
    return _framed(_parts().clip(f"{clip.seconds:.1f}", " and ".join(clip.lacks), frames, sound))


def answers_part(columns: Sequence[str], wheels: Sequence[str]) -> str:
    """What `answer_part` made, side by side, and below them what `wheels_part` made."""
    return _framed(f'<div class="beside">{"".join(columns)}</div>{"".join(wheels)}')


def problem_part(text: str) -> str:
    """A sentence about what went wrong."""
    return _framed(_parts().problem(text))


def answer_part(name: str, answer: Answer) -> str:
    """The answer of one network, so far; once it is whole, with what the network saw and weighed."""
    described = answer.described
    crops = [] if described is None or described.crops is None else _pictures(described.crops)
    weights = {} if described is None else described.fusion_weights
    picture = _inline(weights_picture(weights)) if weights else None
    return str(_parts().answer(name, answer, crops, picture, ", ".join(weights)))


def wheels_part(name: str, answer: Answer, taxonomy: Taxonomy) -> str:
    """The labels of a whole answer on the wheels; nothing for an answer without labels."""
    labels = () if answer.described is None else answer.described.labels
    if not labels:
        return ""
    picture = _inline(wheels_picture(labels, taxonomy))
    return str(_parts().wheels(name, taxonomy, picture, sectors_of(labels, taxonomy)))


def _framed(part: str) -> str:
    """A part, escaped already, with the style that it needs."""
    return f'<style>{_file("parts.css")}</style><div class="play">{part}</div>'


@lru_cache(maxsize=1)
def _parts() -> Any:
    """The macros of `parts.html`."""
    environment = Environment(autoescape=select_autoescape(default_for_string=True))
    return environment.from_string(_file("parts.html")).module


@lru_cache(maxsize=2)
def _file(name: str) -> str:
    return resources.files("affect_lightning.playground").joinpath(name).read_text(encoding="utf-8")


def _pictures(frames: np.ndarray) -> list[str]:
    return [_inline(shown_picture(frame)) for frame in frames[:_MOST_PICTURES]]


def _inline(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
