"""Writes raw clips with planted faults: what `affect-lightning annotate` starts from, and the truth to check it by.

Stands in for the clips out of which MER-Caption is made (paper, Section 2): some have the voice of somebody who is not in the
picture, and some descriptions of them are wrong, broken off or endless. The people and sentences are those of the training
set, for the result is trained on. `authoring.py` writes the clips; `generation.py` has them performed. The truth stands
outside the folder of the clips, so that no stage can read it by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from affect_lightning.errors import ConfigurationError
from affect_lightning.sandbox.authoring import AuthoredClip, author_clips
from affect_lightning.sandbox.clip_texts import Sentence, describe, draw_sentence
from affect_lightning.sandbox.emotions import ClipScript, EmotionName, Fault, LengthFault, VoiceCode
from affect_lightning.sandbox.layouts import places_of, write_csv
from affect_lightning.sandbox.priors import RAW_CLIPS, TRAINING_PRIOR

RAW_FAULTS: dict[Fault | LengthFault, float] = {
    "unseen_voice": 15 / 30,
    "wrong_description": 10 / 30,
    "short_description": 2.5 / 30,
    "long_description": 2.5 / 30,
}
"""Kinds of faults, with their share of all faults."""
DEFAULT_SHARE = 0.3
"""Share of raw clips with a fault (our choice): 15% unseen voices, 10% wrong descriptions, 5% of a wrong length."""
DESCRIPTIONS_FILE = "descriptions.csv"
TRUTH_TABLE = "raw_faults.csv"
_SHORT_WORDS = (2, 5)  # a whole description has 25 to 45
_LONG_REPEATS = (4, 7)  # descriptions of one clip, one after the other
# Words that fit into a clip in each manner of speaking, so that nobody has to hurry. Most clips have room for two sentences.
_WORDS: dict[VoiceCode, int] = {"plain": 15, "energetic": 18, "thin": 17, "low": 11}
_TRIES = 200  # second sentences that are drawn until one fits
# Two emotions of which people say the same: their words share a sector of one of the wheels.
_ALIKE: frozenset[EmotionName] = frozenset(("surprise", "fear"))


def author_raw_clips(clips: int, *, seed: int, identities: Sequence[int], faults: float) -> list[AuthoredClip]:
    """Write the raw clips.

    Args:
        clips: How many.
        seed: Of everything drawn; the same seed gives the same clips.
        identities: Indices of the people who appear.
        faults: Share of clips with one planted fault, 0 to 1, divided as in `RAW_FAULTS`.

    Returns:
        The clips; `script.fault` has the fault. Labels and emotion are always the true ones.

    Raises:
        ConfigurationError: A number is out of range.
    """
    if not 0.0 <= faults <= 1.0:
        raise ConfigurationError(f"The share of faults must be from 0 (none) to 1 (every clip); got {faults}.")
    short = author_clips(RAW_CLIPS, TRAINING_PRIOR, "training", clips=clips, seed=seed, identities=identities)
    sound = [_with_more_words(clip, Random(f"{seed}/raw words/{number}")) for number, clip in enumerate(short)]
    random = Random(f"{seed}/raw faults")
    order = random.sample(range(clips), clips)
    planted, start, end = list(sound), 0, 0.0
    for kind, share in RAW_FAULTS.items():
        end += share * faults * clips
        for turn, number in enumerate(order[start : round(end)]):
            planted[number] = _with_fault(sound, number, kind, turn, random)
        start = round(end)
    return planted


def _with_more_words(clip: AuthoredClip, random: Random) -> AuthoredClip:
    """The clip with a second sentence if one fits: like real ones, it then takes 3 to 5 seconds instead of 2 to 4."""
    script = clip.script
    second = _fitting(script, _WORDS[script.voice] - len(script.sentence_english.split()), random)
    if second is None:
        return clip
    return replace(
        clip,
        script=replace(
            script,
            sentence_english=f"{script.sentence_english} {second.english}",
            sentence_chinese=f"{script.sentence_chinese}{second.chinese}",
        ),
    )


def _fitting(script: ClipScript, words: int, random: Random) -> Sentence | None:
    """A sentence of the clip's topic with at most so many words; None if none was drawn."""
    for _ in range(_TRIES):
        sentence = draw_sentence(script.topic, "training", random)
        if len(sentence.english.split()) <= words and sentence.english not in script.sentence_english:
            return sentence
    return None


def _with_fault(
    sound: Sequence[AuthoredClip], number: int, kind: Fault | LengthFault, turn: int, random: Random
) -> AuthoredClip:
    clip = sound[number]
    script, description = replace(clip.script, fault=kind), clip.description
    if kind == "unseen_voice":
        script = replace(script, lips=_other_words(script, random) if turn % 2 else None)
    elif kind == "wrong_description":
        contradicting = [item.description for item in sound if _contradict(item.emotion, clip.emotion)]
        if not contradicting:
            raise ConfigurationError(
                f"Ask for more raw clips, or for no faults: none of {len(sound)} clips contradicts {clip.emotion}."
            )
        description = random.choice(contradicting)
    elif kind == "short_description":
        description = " ".join(description.split()[: random.randint(*_SHORT_WORDS)])
    else:
        description = " ".join(_described(clip, random) for _ in range(random.randint(*_LONG_REPEATS)))
    return replace(clip, script=script, description=description)


def _other_words(script: ClipScript, random: Random) -> str:
    """What the lips speak instead: as many words as fit."""
    first = draw_sentence(script.topic, "training", random).english
    second = _fitting(script, _WORDS[script.voice] - len(first.split()), random)
    return first if second is None else f"{first} {second.english}"


def _contradict(one: EmotionName, other: EmotionName) -> bool:
    return one != other and {one, other} != _ALIKE


def _described(clip: AuthoredClip, random: Random) -> str:
    script = clip.script
    return describe(
        script.face,
        script.voice,
        script.topic,
        agreement=clip.agreement,
        intensity=script.intensity,
        labels=clip.labels,
        random=random,
    )


def write_raw_tables(root: Path, clips: Sequence[AuthoredClip]) -> None:
    """Write the table of the clips and that of their descriptions, and, outside their folder, what was planted."""
    places = places_of(root, RAW_CLIPS)
    names = [clip.script.name for clip in clips]
    media = [places.media_of(name)[0].relative_to(places.folder).as_posix() for name in names]
    subtitles = [clip.script.sentence_english for clip in clips]
    write_csv(places.labels, ("name", "media", "subtitle"), zip(names, media, subtitles, strict=True))
    descriptions = ((clip.script.name, clip.description) for clip in clips)
    write_csv(places.folder / DESCRIPTIONS_FILE, ("name", "description"), descriptions)
    truth = (
        (clip.script.name, clip.script.fault or "", _lips(clip), clip.emotion, str(list(clip.labels))) for clip in clips
    )
    write_csv(root / TRUTH_TABLE, ("name", "fault", "lips", "emotion", "labels"), truth)


def _lips(clip: AuthoredClip) -> str:
    """What the visible lips do while another voice is heard."""
    if clip.script.fault != "unseen_voice":
        return ""
    return "rest" if clip.script.lips is None else "other speech"
