"""What a number of frames shows of a face: the statement of `corpus.json` against pictures that were drawn and decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.frame_choice import FrameChoice
from affect_lightning.sandbox import seen_frames
from affect_lightning.sandbox.action_units import apex_envelope
from affect_lightning.sandbox.emotions import ClipScript, FaceCode
from affect_lightning.sandbox.priors import score_bounds
from affect_lightning.sandbox.seen_frames import FRAME_COUNTS, frames_report, least_strength

pytest.importorskip(
    "espeakng_loader", reason="speech needs the extra [sandbox]: pip install 'affect-lightning[sandbox]'"
)
from affect_lightning.sandbox.performing import perform

SENTENCES = ("The keys are on the table.", "They moved my shift to Friday.", "It is Tuesday.")
FACES: tuple[FaceCode, ...] = ("distressed", "smile", "wide")
EVERY_FRAME = 130  # more than a clip has: each is shown once


class DrawnClip:
    """A clip that is drawn twice, with its expression and with a face at rest: what differs is the expression.

    Attributes:
        path: Of the clip with the expression.
        times: Of all its frames, in seconds [T].
        changes: Mean difference of the two in each frame [T].
    """

    def __init__(self, folder: Path, script: ClipScript) -> None:
        self.path = folder / f"{script.name}.mp4"
        pictures = []
        for one in (script, replace(script, name=f"{script.name}-rest", face="rest")):
            path = folder / f"{one.name}.mp4"
            perform(one, path, path.with_suffix(".wav"))
            clip = decode_clip(path, None, frame_count=EVERY_FRAME, sample_rate=None)
            assert clip.frames is not None
            assert clip.frame_mask is not None
            assert clip.frame_times is not None
            self.times = clip.frame_times[clip.frame_mask]
            pictures.append(clip.frames[clip.frame_mask].astype(np.int16))
        self.changes = np.abs(pictures[0] - pictures[1]).mean(axis=(1, 2, 3))

    def seen(self, count: int, choice: FrameChoice) -> float:
        """The expression in the best of the frames that the data path chooses, as a share of what half of all frames show."""
        clip = decode_clip(self.path, None, frame_count=count, sample_rate=None, frame_choice=choice)
        assert clip.frame_times is not None
        places = [int(np.abs(self.times - time).argmin()) for time in clip.frame_times]
        return float(self.changes[places].max() / np.median(self.changes))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[DrawnClip]:
    folder = tmp_path_factory.mktemp("faces")
    return [
        DrawnClip(folder, ClipScript(f"{face}-{seed}", seed, 3 * seed, face, "plain", "routine", 0.8, sentence, ""))
        for seed, sentence in zip((1, 2, 5), SENTENCES, strict=True)
        for face in (FACES[seed % 3], FACES[(seed + 1) % 3])
    ]


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_the_middles_of_any_number_of_parts_show_the_expression_at_its_apex(clips: list[DrawnClip], count: int) -> None:
    assert least_strength(count, "middle") == pytest.approx(1.0)
    assert min(clip.seen(count, "middle") for clip in clips) > 0.75  # not 1: lips and head move, too


def test_the_first_frame_alone_shows_it_weakly_and_two_show_it_whole(clips: list[DrawnClip]) -> None:
    alone = [clip.seen(1, "first") for clip in clips]
    assert min(alone) > 0.1  # never nothing: the bounds stay
    assert np.mean(alone) < 0.8
    assert least_strength(1, "first") == pytest.approx(0.25)
    assert least_strength(2, "first") == pytest.approx(1.0)
    assert min(clip.seen(2, "first") for clip in clips) > 0.75


@pytest.mark.parametrize("count", FRAME_COUNTS)
@pytest.mark.parametrize("choice", ["middle", "first"])
def test_no_drawn_timeline_shows_less_than_the_statement_says(count: int, choice: FrameChoice) -> None:
    """Thousands of timelines of the generator itself, with frames counted by hand: part k of n begins at k T / n."""
    generator = np.random.default_rng(count)
    least = 1.0
    for _ in range(1000):
        frames = int(generator.integers(50, 126))
        strength = apex_envelope(frames, generator)
        share = 0.0 if choice == "first" else 0.5
        places = {min(int((k + share) * frames / count), frames - 1) for k in range(count)}
        least = min(least, max(strength[place - place % 2] for place in places))
    assert least >= least_strength(count, choice) - 1e-9
    assert least <= least_strength(count, choice) + 0.05


def test_the_statement_gives_every_number_of_frames_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    report = frames_report()
    mean = {name: pytest.approx(score, abs=1e-6) for name, score in score_bounds()["mean"].items()}
    assert list(report["mean_scores"]) == [str(count) for count in FRAME_COUNTS]
    assert all(row == mean for row in report["mean_scores"].values())
    assert "nothing that one frame does not" in report["statement"]
    monkeypatch.setattr(seen_frames, "least_strength", lambda count, choice: float(count > 1))
    assert (
        "1" not in frames_report()["mean_scores"]
    )  # a timeline that hides the expression from one frame gives no bound
