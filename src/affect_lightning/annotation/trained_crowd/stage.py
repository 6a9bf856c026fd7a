"""The stage `crowd` with members of its own: trained on human labels, or read from a folder, they vote on every clip.

Paper: Section 2, "model-based crowd-sourcing". Votes are classes, never words. A clip that lacks something that a member reads
has no vote of it. `training.py` makes members, `saved_crowd.py` keeps them, `votes.py` decides; without sets to train on and
without a saved crowd, the columns `votes.NAME` of the table vote (`crowd.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from affect_lightning.annotation.clip_files import FILE_COLUMNS, SUBTITLE_COLUMNS, records_of, subtitles_of
from affect_lightning.annotation.crowd import CrowdOptions, CrowdStage
from affect_lightning.annotation.members import VOTES, Classes
from affect_lightning.annotation.stages import Chunks, Scope, Stage
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.annotation.trained_crowd.clip_features import TEXT_LABEL, FeatureCaches, LocatedFeatures
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
    read_crowd,
    taken_or_written,
)
from affect_lightning.annotation.trained_crowd.training import EMOTION, SENTIMENT, train_members
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.corpora.own_clips import OWN_CORPUS
from affect_lightning.corpora.sets import Split
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.storage import user_cache_folder

SENTIMENT_VOTES = "sentiment_votes."  # begins the names of the columns with a member's sentiments
_CLIPS_AT_ONCE = 4096  # our choice: vectors of the paper's encoders are then some 30 MB
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
        media: For `encode`: folder at which paths in the table begin; where the table has none, folder of `NAME.mp4` or
            `NAME.wav`.
        corpus: Set of the table's clips in the caches; by default, the one that has a clip of the name.
        subsets: Modalities of members, such as `audio+face`; by default all, and all but one.
        seeds: Of the trainings; three, our choice.
        text: `hashed` makes the subtitle (column `subtitle` or `text`) a modality, without any model.
        language: Of the subtitles of the labelled sets, `english` or `chinese`.
        min_score: Members with a lower cross-validated WAF, in percent, do not vote.
        rare: What to do with classes that have fewer clips than there are folds.
        missing: What to do with clips without features: `error`, or `abstain`.
        crowd: Folder of a saved crowd, instead of a training.
        save: Folder for the trained crowd; the same training takes it from there another time.
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


class TrainedCrowdStage(Stage[TrainedCrowdOptions]):
    """Adds each member's votes and what the crowd says: class, share of the votes, number of voters.

    Args:
        options: See there.
        taxonomy: Of the wheels.
        encode: Fills caches, for the option `encode`; None where nothing can be encoded.
        progress: Called with each member's name when it is trained.

    Attributes:
        trained: The crowd; None before the stage has begun.
        unreadable: Clips of the tables that could not be read when they were cached; members that need them abstain.
        absent: Clips of the tables without features.
    """

    name = "crowd"
    passing: ClassVar[frozenset[str]] = frozenset({"save"})

    def __init__(
        self,
        options: TrainedCrowdOptions,
        taxonomy: Taxonomy,
        encode: Encode | None = None,
        progress: Callable[[str], None] = lambda name: None,
    ) -> None:
        super().__init__(options)
        self._taxonomy, self._encode, self._progress = taxonomy, encode, progress
        self._labels: tuple[LabelledClips, tuple[str, ...]] | None = None
        self._caches: FeatureCaches | None = None
        self.trained: TrainedCrowd | None = None
        self.unreadable: list[str] = []
        self.absent: list[str] = []
        self._looked_up = 0  # clips whose features were looked for
        if self._has_members:
            options.check()

    @property
    def _has_members(self) -> bool:
        return bool(self.options.train) or self.options.crowd is not None

    @property
    def scope(self) -> Scope:
        """A saved crowd whose majority counts votes on each clip alone; a training is needed once for all clips."""
        if not self._has_members:
            return self._of_columns().scope
        if self.options.method != "majority":
            return "table"
        return "distribution" if self.options.train else "clip"

    def parts(self) -> Mapping[str, str]:
        """The crowd by the hash of its weights, features and training sets; before a training, the sets alone."""
        if not self._has_members:
            return self._of_columns().parts()
        if self.trained is None and self.options.train:
            return {"training sets": "; ".join(self._labelled()[0].sets)}
        crowd = self.crowd()
        found = {"crowd": f"{len(crowd.members)} members, {crowd.identity()}", "training sets": "; ".join(crowd.sets)}
        found |= {f"features {label}": item.digest for label, item in crowd.inputs.items()}
        return {**found, "taxonomy": crowd.taxonomy} if crowd.taxonomy else found

    def prepare(self, chunks: Chunks) -> None:
        """Train the members, or read them."""
        if self._has_members:
            self.crowd()

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """See the contract; the table needs the clips' names, and files or subtitles where options say so."""
        if not self._has_members:
            return self._of_columns().columns_of(table)
        crowd = self.crowd()
        return self._columns(table.names, crowd, self._votes(crowd, self._located(table, crowd)))

    def tell_lacking(self, chunks: Chunks, clips: int) -> None:
        """Complete `absent` and `unreadable` if some of so many clips were voted on by an earlier try or by parts."""
        if self._looked_up == clips:
            return
        self.absent, self.unreadable, self._looked_up = [], [], 0
        for table in chunks():
            self._located(table, self.crowd())

    def _of_columns(self) -> CrowdStage:
        own = CrowdOptions(**{item.name: getattr(self.options, item.name) for item in fields(CrowdOptions)})
        return CrowdStage(own, Classes.named(own.over, self._taxonomy), self._taxonomy)

    def crowd(self) -> TrainedCrowd:
        """The members, trained or read once."""
        if self.trained is None:
            folder = self.options.crowd
            self.trained = self._trained() if folder is None else read_crowd(Path(folder))
        return self.trained

    def _labelled(self) -> tuple[LabelledClips, tuple[str, ...]]:
        """The labelled clips and the emotion classes that are learnt, read once."""
        if self._labels is None:
            options = self.options
            classes = trained_classes(options.over, self._taxonomy)
            clips = read_labelled_clips(
                Path(options.data or "."), options.train, options.split, classes, self._taxonomy
            )
            self._labels = check_learnable(clips, options.folds, options.rare)
        return self._labels

    def _filled(self, clips: Sequence[ClipRecord], *, with_text: bool) -> FeatureCaches:
        """The caches, after they were filled with clips if that was asked for."""
        options = self.options
        places = [Path(place) for place in options.features] or [user_cache_folder("features")]
        if options.encode:
            if self._encode is None:
                raise ConfigurationError(
                    "Leave `encode` out, and run `affect-lightning cache` first: nothing can be encoded here."
                )
            places = [self._encode(name, clips, places[0]) for name in options.encode]
        elif self._caches is not None:
            return self._caches
        self._caches = FeatureCaches(places, with_text, self._caches)
        return self._caches

    def _trained(self) -> TrainedCrowd:
        options = self.options
        labelled, learnt = self._labelled()
        caches = self._filled(labelled.records, with_text=options.text == "hashed")
        plans = plan_members(caches.inputs, options.subsets, options.seeds)
        labels = sorted({label for plan in plans for label in plan.inputs})
        texts = [getattr(record, f"subtitle_{options.language}") for record in labelled.records]
        located = caches.locate(labelled.records, labels, texts)
        self._tell_missing(located, labels, "labelled clips")
        wheel = trained_classes(options.over, self._taxonomy).wheel
        deciding = ("method", "iterations", "min_score", "language", "seed")
        wanted = TrainedCrowd(
            over=options.over,
            classes=learnt,
            inputs={label: caches.inputs[label] for label in labels},
            members=(),
            sets=labelled.sets,
            scores={},
            options={
                name: getattr(options, name) for name in (*(item.name for item in fields(FittingOptions)), *deciding)
            },
            taxonomy=f"{self._taxonomy.name}, SHA-256 {self._taxonomy.sha256[:16]}" if wheel else "",
        )

        def train() -> TrainedCrowd:
            features = {label: located.rows(label) for label in labels}
            members, held_out = train_members(plans, labelled, learnt, features, options, options.seed, self._progress)
            scores = score_crowd(held_out, members, labelled, learnt, options, options.min_score)
            return replace(wanted, members=tuple(members), scores=scores)

        return train() if options.save is None else taken_or_written(Path(options.save), wanted, plans, train)

    def _located(self, table: ClipTable, crowd: TrainedCrowd) -> LocatedFeatures:
        """Where the features of a table's clips are."""
        options = self.options
        clips = [ClipRecord(name, options.corpus or OWN_CORPUS) for name in table.names]
        if options.encode:
            clips = self._with_files(table, options.corpus or OWN_CORPUS)
        caches = self._filled(clips, with_text=TEXT_LABEL in crowd.inputs)
        check_inputs(crowd, caches.inputs)
        if not options.encode and options.corpus is None:
            corpora = caches.corpora_of(table.names)
            clips = [ClipRecord(name, corpora.get(name, OWN_CORPUS)) for name in table.names]
        if TEXT_LABEL in crowd.inputs and not set(SUBTITLE_COLUMNS) & set(table.columns):
            raise DataError(
                f"Add a column {SUBTITLE_COLUMNS[0]!r} with what is said, or train without --text: members read the subtitle, "
                f"and the table has {', '.join(table.columns)}."
            )
        located = caches.locate(clips, crowd.inputs, subtitles_of(table))
        self._looked_up += len(table)
        self.absent += self._tell_missing(located, list(crowd.inputs), "clips")
        self.unreadable += [clips[place].name for place in sorted(located.unreadable)]
        return located

    def _with_files(self, table: ClipTable, corpus: str) -> list[ClipRecord]:
        """The table's clips with their files, to be encoded."""
        folder = None if self.options.media is None else Path(self.options.media)
        if set(FILE_COLUMNS) & set(table.columns):
            return [replace(record, corpus=corpus) for record in records_of(table, folder)]
        if folder is None:
            raise ConfigurationError(
                "Give the clips' files for --encode: a column `media` with their paths, or --media FOLDER with NAME.mp4 or "
                "NAME.wav."
            )
        return [_beside(folder, name, corpus) for name in table.names]

    def _tell_missing(self, located: LocatedFeatures, labels: Sequence[str], what: str) -> list[str]:
        """Names of the clips without features; an error, unless they are to abstain."""
        absent = [located.records[place].name for place in located.absent(labels)]
        read = ", ".join(label for label in labels if label != TEXT_LABEL)
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


def _beside(folder: Path, name: str, corpus: str) -> ClipRecord:
    """A clip with the file that has its name."""
    video, sound = folder / f"{name}.mp4", folder / f"{name}.wav"
    return (
        ClipRecord(name, corpus, audio=sound)
        if sound.is_file() and not video.is_file()
        else ClipRecord(name, corpus, video)
    )
