"""Checks of rewards: what they give for sampled responses, and that a response gets the same whatever the others are.

`suite.py` lists them. The responses are made up, so a check says nothing of how good a reward is. Legend: N responses.
"""

from __future__ import annotations

import math

from affect_lightning.contracts import ClipRecord, SampledResponse
from affect_lightning.contracts.conformance import check_rewards
from affect_lightning.testing.subject import Subject, require

_CLIPS = (
    ClipRecord("happy", "contract", labels=("happy", "joyful"), sentiment=1.0, description="A smile."),
    ClipRecord("angry", "contract", labels=("angry",), sentiment=-2.0),
    ClipRecord("unlabelled", "contract"),
)
_RESPONSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("The person feels happy.", "The person feels happy.", ("happy",)),
    ("<think>A frown.</think><answer>angry, sad</answer>", "angry, sad", ("angry", "sad")),
    ("", "", ()),
    ("[happy, glad, sad, angry, calm, tired, bored, afraid]",) * 2
    + (("happy", "glad", "sad", "angry", "calm", "tired", "bored", "afraid"),),
)


def sampled() -> list[SampledResponse]:
    """Every response to every clip."""
    question = "Which emotions does the person feel?"
    return [
        SampledResponse(clip, question, response, answer, labels, "positive" if "happy" in labels else "neutral")
        for clip in _CLIPS
        for response, answer, labels in _RESPONSES
    ]


def reward_numbers(subject: Subject) -> str:
    """A number for every response; NaN for all responses to a clip or for none; nothing for nothing."""
    samples = sampled()
    found = check_rewards(subject.part.score(samples), count=len(samples))
    for place, clip in enumerate(_CLIPS):
        own = found[place * len(_RESPONSES) : (place + 1) * len(_RESPONSES)]
        missing = sum(map(math.isnan, own))
        require(
            missing in (0, len(own)), f"NaN for all responses to {clip.name!r} or for none", f"{missing} of {len(own)}"
        )
    require(
        not all(map(math.isnan, found)), "a number for a clip with labels, a sentiment and a description", "only NaN"
    )
    check_rewards(subject.part.score([]), count=0)
    return f"{len({value for value in found if not math.isnan(value)})} different numbers"


def reward_batches(subject: Subject) -> None:
    """A response gets the same number alone, in another order, again, and from a newly built part."""
    samples = sampled()
    together = subject.part.score(samples)
    turned = subject.part.score(samples[::-1])[::-1]
    alone = [subject.part.score([sample])[0] for sample in samples]
    ways = ((alone, "alone"), (turned, "in another order"), (subject.part.score(samples), "again"))
    for found, how in (*ways, (subject.build().score(samples), "from a new part")):
        require(_are_equal(together, found), f"the same numbers {how}: {together[:4]}", f"{found[:4]}")


def _are_equal(first: list[float], second: list[float]) -> bool:
    return all(abs(a - b) <= 1e-9 or (math.isnan(a) and math.isnan(b)) for a, b in zip(first, second, strict=True))
