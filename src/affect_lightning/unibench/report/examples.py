"""Example clips for the report: small pictures, response and truth.

Pictures come from the batch that the model saw, so that the report shows what the model was shown. `callback.py`
collects examples during the test, `page.html` shows them; a picture is kept as a JPEG data URI, which needs no
file next to the page.
Legend: B clips, T frames, H height and W width in pixels.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from affect_lightning.errors import DataError
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.scores import SuiteScores

if TYPE_CHECKING:
    from affect_lightning.contracts import ClipBatch

PICTURES = 3  # a clip: near onset, apex and offset; our choice
SIDE = 112  # longest side in pixels; our choice: readable, and about 3 KB a picture
JPEG_QUALITY = 80  # our choice


@dataclass(frozen=True)
class Example:
    """One clip as the report shows it.

    Attributes:
        name: Of the clip.
        corpus: Key of its set.
        subtitle: What is said in it.
        question: What was asked.
        response: What the model answered.
        labels: Emotion words extracted from the response.
        sentiment: Sentiment of those words; empty for sets that are not scored by it.
        truth: The truth, in words.
        hit: Whether the response counts as right; None for a clip that is not scored.
        pictures: JPEG data URIs, in the order of time.
    """

    name: str
    corpus: str
    subtitle: str
    question: str
    response: str
    labels: tuple[str, ...]
    sentiment: str
    truth: str
    hit: bool | None
    pictures: tuple[str, ...] = field(default=(), repr=False)

    @property
    def outcome(self) -> str:
        """`hit`, `miss` or `not scored`."""
        return {True: "hit", False: "miss", None: "not scored"}[self.hit]


def pictures_of(batch: ClipBatch, index: int) -> tuple[str, ...]:
    """A few frames of one clip of the batch, evenly spread over its real frames, as JPEG data URIs.

    Args:
        batch: Face crops are preferred to whole pictures; without either there are no pictures.
        index: Of the clip within the batch.
    """
    shown = batch.streams.get("face") or batch.streams.get("frame")
    if shown is None:
        return ()
    clip = shown.values[index][shown.mask[index]]  # [T, 3, H, W]
    count = min(PICTURES, len(clip))
    chosen = [int((position + 0.5) * len(clip) / count) for position in range(count)]
    return tuple(jpeg_data_uri(clip[position].permute(1, 2, 0).cpu().numpy()) for position in chosen)


def jpeg_data_uri(picture: Any) -> str:
    """A picture as a small JPEG inside a data URI.

    Args:
        picture: uint8 array [H, W, 3], RGB; made smaller if a side is longer than SIDE.

    Raises:
        DataError: The encoder refuses the picture.
    """
    import cv2

    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise DataError(f"A picture of {width} x {height} pixels could not be encoded as JPEG for the report.")
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def choose_examples(examples: Sequence[Example], count: int) -> list[Example]:
    """Take turns between the sets until `count` examples are chosen; the order within a set stays.

    The choice depends on names only, so that reports of several runs show the same clips.
    """
    by_set: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda example: (example.corpus, example.name)):
        by_set.setdefault(example.corpus, []).append(example)
    turns = max((len(group) for group in by_set.values()), default=0)
    ordered = [group[turn] for turn in range(turns) for group in by_set.values() if turn < len(group)]
    return sorted(ordered[:count], key=lambda example: (example.corpus, example.name))


def make_examples(
    predictions: Iterable[Prediction], scores: SuiteScores, shown: Mapping[tuple[str, str], tuple[str, tuple[str, ...]]]
) -> list[Example]:
    """Join predictions, outcomes and pictures of the clips that may be shown.

    Args:
        predictions: Of all sets.
        scores: Of the same predictions.
        shown: Subtitle and pictures by corpus and name; other clips are left out.
    """
    outcomes = {
        (key, outcome.name): outcome
        for key, score in scores.sets.items()
        for outcome in score.outcomes
        if (key, outcome.name) in shown
    }
    examples = []
    for clip in predictions:
        key = (clip.corpus, clip.name)
        if key in shown:
            (subtitle, pictures), outcome = shown[key], outcomes[key]
            labels, sentiment, truth = outcome.labels, outcome.sentiment, _truth_text(clip)
            asked = (clip.name, clip.corpus, subtitle, clip.question, clip.response)
            examples.append(Example(*asked, labels, sentiment, truth, outcome.hit, pictures))
    return examples


def _truth_text(prediction: Prediction) -> str:
    parts = [", ".join(prediction.truth_labels)]
    if prediction.truth_sentiment is not None:
        parts.append(f"sentiment {prediction.truth_sentiment:+.2f}")
    return "; ".join(filter(None, parts))
