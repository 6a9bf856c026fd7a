"""The stage `crowd` with members of its own: trained on human labels, or read from a folder, they vote on every clip.

Paper: Section 2, "model-based crowd-sourcing". Votes are classes, never words. A clip that lacks something that a member reads
has no vote of it. `training.py` makes members, `saved_crowd.py` keeps them, `votes.py` decides; without sets to train on and
without a saved crowd, the columns `votes.NAME` of the table vote (`crowd.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from affect_lightning.annotation.crowd import CrowdOptions, CrowdStage
from affect_lightning.annotation.members import VOTES, Classes
from affect_lightning.annotation.stages import Stage
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.annotation.trained_crowd.clip_features import TEXT, TEXT_LABEL, FeatureCaches, LocatedFeatures
from affect_lightning.annotation.trained_crowd.crowd_scores import score_crowd, verdicts_of, voters
from affect_lightning.annotation.trained_crowd.fitting import FittingOptions
from affect_lightning.annotation.trained_crowd.labelled_clips import (
    LabelledClips,
    RarePolicy,
    check_learnable,
    read_labelled_clips,
    trained_classes,
)
from affect_lightning.annotation.trained_crowd.member_plans import plan_members
from affect_lightning.annotation.trained_crowd.saved_crowd import (
    TrainedCrowd,
    check_inputs,
    check_new_folder,
    read_crowd,
    write_crowd,
)
from affect_lightning.annotation.trained_crowd.training import EMOTION, SENTIMENT, train_members
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.corpora.sets import Split
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.storage import user_cache_folder

SENTIMENT_VOTES = "sentiment_votes."  # begins the names of the columns with a member's sentiments
ENCODED = "clips"  # set of the table's clips in a cache that this stage has filled
_CLIPS_AT_ONCE = 4096  # our choice: vectors of the paper's encoders are then some 30 MB
_SOUND = (".wav", ".flac", ".mp3", ".m4a", ".ogg")
_log = logging.getLogger(__name__)

Encode = Callable[[str, Sequence[ClipRecord], Path], Path]
"""Fills a feature cache: experiment, clips and folder of caches in, the cache's folder out."""


@dataclass(frozen=True)
class TrainedCrowdOptions(FittingOptions, CrowdOptions):
    """How members are trained and vote, beside the options of both.

    Attributes:
        over: Emotions: the sectors of a wheel and `neutral`, or class names; `sentiment` for no emotions. Sentiment is learnt
            wherever a set has it.
        train: Names of human-labelled sets.
        split: Which part of benchmark sets is learnt.
        data: Folder that contains the sets' folders.
        features: Feature caches, or folders of caches; by default the user's.
        encode: Experiments whose encoders fill the caches first; needs the clips' files.
        media: Folder of the clips' files, `NAME.mp4` or `NAME.wav`, or that of the paths in the column `media`.
        corpus: Set of the table's clips in the caches; by default, the one that has a clip of the name.
        subsets: Modalities of members, such as `audio+face`; by default all, and all but one.
        seeds: Of the trainings; three, our choice.
        text: `hashed` makes the subtitle a modality, without any model.
        subtitle: Column of the subtitles.
        language: Of the subtitles of the labelled sets, `english` or `chinese`.
        min_score: Members with a lower cross-validated WAF, in percent, do not vote.
        rare: What to do with classes that have fewer clips than there are folds.
        missing: What to do with clips without features: `error`, or `abstain`.
        crowd: Folder of a saved crowd, instead of a training.
        save: Folder for the trained crowd.
    """

    over: str = "wheel1"
    train: tuple[str, ...] = ()
    split: Split = "train"
    data: str | None = None
    features: tuple[str, ...] = ()
    encode: tuple[str, ...] = ()
    media: str | None = None
    corpus: str | None = None
    subsets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    text: Literal["none", "hashed"] = "none"
    subtitle: str = "subtitle"
    language: Literal["english", "chinese"] = "english"
    min_score: float = 0.0
    rare: RarePolicy = "error"
    missing: Literal["error", "abstain"] = "error"
    crowd: str | None = None
    save: str | None = None

    def check(self) -> None:
        """Refuse options that contradict each other, before anything is read.

        Raises:
            ConfigurationError: They do.
        """
        super().check()
        if bool(self.train) == (self.crowd is not None):
            raise ConfigurationError("Give sets to train on (--train SET) or a saved crowd (--crowd FOLDER), not both.")
        if self.train and self.data is None:
            raise ConfigurationError("Add --data DIR: the folder that contains the sets of --train.")
        if self.crowd is not None and self.save is not None:
            raise ConfigurationError("Leave --save out: the crowd of --crowd is saved already.")
        for name, known in (("text", ("none", "hashed")), ("language", ("english", "chinese")), ("rare", ("error", "drop")),
                            ("missing", ("error", "abstain")), ("split", ("train", "test"))):  # fmt: skip
            if getattr(self, name) not in known:
                raise ConfigurationError(f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}.")
        if self.save is not None:
            check_new_folder(Path(self.save))


class TrainedCrowdStage(Stage[TrainedCrowdOptions]):
    """Adds each member's votes and what the crowd says: class, share of the votes, number of voters.

    Args:
        options: See there.
        taxonomy: Of the wheels.
        encode: Fills caches, for the option `encode`; None where nothing can be encoded.
        progress: Called with each member's name when it is trained.

    Attributes:
        trained: The crowd; None before the stage has run.
        quarantined: Clips of the table that were in a cache but could not be read when it was made.
        absent: Clips of the table without features, which have no vote.
    """

    name = "crowd"

    def __init__(
        self,
        options: TrainedCrowdOptions,
        taxonomy: Taxonomy,
        encode: Encode | None = None,
        progress: Callable[[str], None] = lambda name: None,
    ) -> None:
        super().__init__(options)
        self._taxonomy, self._encode, self._progress = taxonomy, encode, progress
        self.trained: TrainedCrowd | None = None
        self.quarantined: list[str] = []
        self.absent: list[str] = []

    def parts(self) -> Mapping[str, str]:
        """The crowd by the hash of its weights, features and training sets; and each of these."""
        if self.trained is None:
            return self._of_columns().parts()
        crowd = self.trained
        found = {"crowd": f"{len(crowd.members)} members, {crowd.identity()}", "training sets": "; ".join(crowd.sets)}
        found |= {f"features {label}": item.digest for label, item in crowd.inputs.items()}
        return {**found, "taxonomy": crowd.taxonomy} if crowd.taxonomy else found

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """See the contract; the table needs the clips' names, and `media` or `subtitle` where options say so."""
        options = self.options
        if not options.train and options.crowd is None:
            return self._of_columns().columns_of(table)
        options.check()
        clips = self._clips_of(table)
        if options.crowd is not None:
            crowd = read_crowd(Path(options.crowd))
            caches = self._caches((), clips, with_text=TEXT_LABEL in crowd.inputs)
            check_inputs(crowd, caches.inputs)
        else:
            labelled, learnt = self._labelled()
            caches = self._caches(labelled.records, clips, with_text=options.text == "hashed")
            crowd = self._trained_on(labelled, learnt, caches)
            if options.save is not None:
                write_crowd(Path(options.save), crowd)
        self.trained = crowd
        return self._columns(table.names, crowd, self._votes(crowd, self._located(table, clips, caches, crowd)))

    def _of_columns(self) -> CrowdStage:
        own = CrowdOptions(**{item.name: getattr(self.options, item.name) for item in fields(CrowdOptions)})
        return CrowdStage(own, Classes.named(own.over, self._taxonomy), self._taxonomy)

    def _clips_of(self, table: ClipTable) -> list[ClipRecord]:
        """The table's clips; with files only if they are to be encoded, otherwise caches are asked by name."""
        corpus = self.options.corpus or ENCODED
        if not self.options.encode:
            return [ClipRecord(name, corpus) for name in table.names]
        given = table.texts("media") if "media" in table.columns else [""] * len(table)
        folder = Path(self.options.media) if self.options.media is not None else Path()
        if not any(given) and self.options.media is None:
            raise ConfigurationError(
                "Give the clips' files for --encode: a column `media` with their paths, or --media FOLDER with NAME.mp4 or "
                "NAME.wav."
            )
        return [_record(name, corpus, folder, path) for name, path in zip(table.names, given, strict=True)]

    def _labelled(self) -> tuple[LabelledClips, tuple[str, ...]]:
        options = self.options
        classes = trained_classes(options.over, self._taxonomy)
        clips = read_labelled_clips(Path(options.data or "."), options.train, options.split, classes, self._taxonomy)
        return check_learnable(clips, options.folds, options.rare)

    def _caches(self, labelled: Sequence[ClipRecord], clips: Sequence[ClipRecord], *, with_text: bool) -> FeatureCaches:
        options = self.options
        places = [Path(place) for place in options.features] or [user_cache_folder("features")]
        if options.encode:
            if self._encode is None:
                raise ConfigurationError(
                    "Cache the clips first with `affect-lightning cache`: nothing can be encoded here."
                )
            places = [self._encode(name, [*labelled, *clips], places[0]) for name in options.encode]
        return FeatureCaches(places, with_text)

    def _trained_on(self, labelled: LabelledClips, learnt: tuple[str, ...], caches: FeatureCaches) -> TrainedCrowd:
        options = self.options
        plans = plan_members(caches.inputs, options.subsets, options.seeds)
        labels = sorted({label for plan in plans for label in plan.inputs})
        texts = [getattr(record, f"subtitle_{options.language}") for record in labelled.records]
        located = caches.locate(labelled.records, labels, texts)
        self._tell_missing(located, labels, "labelled clips")
        features = {label: located.rows(label) for label in labels}
        members, held_out = train_members(plans, labelled, learnt, features, options, options.seed, self._progress)
        scores = score_crowd(held_out, members, labelled, learnt, options, options.min_score)
        wheel = trained_classes(options.over, self._taxonomy).wheel
        fitting = FittingOptions(**{item.name: getattr(options, item.name) for item in fields(FittingOptions)})
        return TrainedCrowd(
            over=options.over,
            classes=learnt,
            inputs={label: caches.inputs[label] for label in labels},
            members=tuple(members),
            sets=labelled.sets,
            scores=scores,
            options={**asdict(fitting), "fold_seed": options.seed, "language": options.language},
            taxonomy=f"{self._taxonomy.name}, SHA-256 {self._taxonomy.sha256[:16]}" if wheel else "",
        )

    def _located(
        self, table: ClipTable, clips: list[ClipRecord], caches: FeatureCaches, crowd: TrainedCrowd
    ) -> LocatedFeatures:
        options = self.options
        if not options.encode and options.corpus is None:
            corpora = caches.corpora_of(table.names)
            clips = [ClipRecord(name, corpora.get(name, ENCODED)) for name in table.names]
        texts = None
        if TEXT_LABEL in crowd.inputs:
            if options.subtitle not in table.columns:
                raise DataError(
                    f"Add a column {options.subtitle!r} with what is said, or train without --text: members read "
                    f"the subtitle, and the table has {', '.join(table.columns)}."
                )
            texts = table.texts(options.subtitle)
        located = caches.locate(clips, crowd.inputs, texts)
        self.absent = self._tell_missing(located, list(crowd.inputs), "clips")
        self.quarantined = [clips[place].name for place in sorted(located.unreadable)]
        return located

    def _tell_missing(self, located: LocatedFeatures, labels: Sequence[str], what: str) -> list[str]:
        """Names of the clips without features; an error, unless they are to abstain."""
        absent = [located.records[place].name for place in located.absent(labels)]
        read = ", ".join(label for label in labels if label.split(":")[0] != TEXT)
        if absent and (self.options.missing == "error" or len(absent) == len(located)):
            raise DataError(
                f"Run `affect-lightning cache` over the {what}, or add --encode EXPERIMENT: {len(absent)} of {len(located)} have "
                f"no cached features {read}: {shown(absent)}. Fewer than all may go without a vote with --missing abstain."
            )
        if absent:
            _log.warning("%d of %d %s have no cached features: %s.", len(absent), len(located), what, shown(absent))
        if located.unreadable:
            names = [located.records[place].name for place in sorted(located.unreadable)]
            _log.warning("%d %s could not be read when they were cached: %s.", len(names), what, shown(names))
        return absent

    def _votes(self, crowd: TrainedCrowd, located: LocatedFeatures) -> dict[str, dict[str, list[str | None]]]:
        """By task, then by member, the vote on each clip."""
        votes: dict[str, dict[str, list[str | None]]] = {task: {} for task in crowd.tasks}
        for start in range(0, len(located), _CLIPS_AT_ONCE):
            some = {label: located.rows(label, start, start + _CLIPS_AT_ONCE) for label in crowd.inputs}
            for member in crowd.members:
                for task, cast in member.votes(some, crowd.classes).items():
                    votes[task].setdefault(member.plan.name, []).extend(cast)
        return votes

    def _columns(
        self, names: Sequence[str], crowd: TrainedCrowd, votes: Mapping[str, Mapping[str, list[str | None]]]
    ) -> dict[str, Sequence[Any]]:
        options = self.options
        columns: dict[str, Sequence[Any]] = {}
        stays = [True] * len(names)
        for task, prefix in ((EMOTION, VOTES), (SENTIMENT, SENTIMENT_VOTES)):
            if task not in votes:
                continue
            voting = voters(crowd.members, task, options.min_score)
            verdicts = verdicts_of(votes[task], voting, task, crowd.classes, options)
            columns |= {f"{prefix}{name}": votes[task][name] for name in voting}
            columns |= {
                f"crowd_{task}": [verdict.label for verdict in verdicts],
                f"crowd_{task}_share": [verdict.share for verdict in verdicts],
                f"crowd_{task}_voters": [verdict.voters for verdict in verdicts],
                f"crowd_{task}_probability": [verdict.probability for verdict in verdicts],
            }
            stays = [good and verdict.share >= options.min_share for good, verdict in zip(stays, verdicts, strict=True)]
        if options.min_share > 0:
            columns["kept.crowd"] = stays
        return columns


def _record(name: str, corpus: str, folder: Path, path: str) -> ClipRecord:
    """A clip with its file: the one that is named, or NAME.mp4 or NAME.wav in the folder."""
    file = folder / path if path else folder / f"{name}.mp4"
    if not path and not file.is_file() and (folder / f"{name}.wav").is_file():
        file = folder / f"{name}.wav"
    return (
        ClipRecord(name, corpus, audio=file) if file.suffix.lower() in _SOUND else ClipRecord(name, corpus, video=file)
    )
