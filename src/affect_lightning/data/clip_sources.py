"""Which clips are for training and which for testing: sets by name, lists, shares, limits; no clip is on both sides.

Paper: Section 5 (training on all of MER-Caption+, testing on the nine sets of MER-UniBench). The selections are ours,
for subsets and for curves over the amount of data. They use stable hashes, so they do not depend on the order or number
of other clips. `corpora` reads the sets; `clip_data_module.py` has the options and asks here.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora import TRAINING_SETS, TrainingSet, find_benchmark_set, known_sets
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.corpora.corpus_file import ExpectedCount
from affect_lightning.corpora.file_texts import read_text
from affect_lightning.corpora.known_sets import canonical_key, keys_of, near_hint
from affect_lightning.corpora.official_folders import (
    MissingSubtitle,
    benchmark_names,
    read_benchmark_set,
    read_training_set,
)
from affect_lightning.corpora.own_clips import is_own_table, read_own_table, table_path
from affect_lightning.corpora.sets import MER_UNIBENCH
from affect_lightning.data.ordering import checked_weights
from affect_lightning.data.own_descriptions import with_emotion_words, without_faults
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import PluginChoice

LIST_SUFFIX = ".txt"  # an entry of include or exclude that ends so is a file with a name a line
TestOverlap = Literal["error", "drop"]

_log = logging.getLogger(__name__)
_NEUTRAL = ("neutral",)


def stable_share(name: str, purpose: str = "") -> float:
    """A number in [0, 1) that depends on the name alone: which split a clip is in never changes as a set grows.

    Args:
        name: Of the clip.
        purpose: Draws for different purposes are independent: a tenth of the clips is not the same tenth.

    Example:
        >>> 0.0 <= stable_share("sample_00000123") < 1.0
        True
    """
    text = f"{purpose}\0{name}" if purpose else name
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") / 2**64


def listed_names(entries: Sequence[str] | str | None, root: Path | None, option: str) -> dict[str, str] | None:
    """The names that an option lists, each with where it is; None if the option is not set.

    Args:
        entries: Names, or paths of text files (`.txt`, UTF-8, a name a line, empty lines left out), or one of either.
        root: Folder in which a list file is looked for first; then its path is taken as it is.
        option: `include` or `exclude`, for messages.

    Raises:
        DataError: A list file is missing or unreadable.
        ConfigurationError: The option lists nothing.
    """
    if entries is None:
        return None
    names: dict[str, str] = {}
    for entry in [entries] if isinstance(entries, str) else entries:
        if not entry.endswith(LIST_SUFFIX):
            names.setdefault(entry, f"data.{option}")
            continue
        inside = root / entry if root is not None else Path(entry)
        path = inside if inside.is_file() else Path(entry).expanduser()
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if line.strip():
                names.setdefault(line.strip(), f"{path}, line {number}")
    if not names and option == "include":
        raise ConfigurationError("data.include lists no clip. Name some clips, or remove the option to use all clips.")
    return names


def select_clips(
    clips: Iterable[ClipRecord],
    *,
    ratio: float = 1.0,
    include: dict[str, str] | None = None,
    exclude: dict[str, str] | None = None,
) -> list[ClipRecord]:
    """The clips that are used, in their order.

    Args:
        clips: Of all training sets. A listed name means every clip of that name.
        ratio: Share that is used, chosen by a stable hash after the lists (1 uses all).
        include: Names to take, with where each is; None takes all.
        exclude: Names to leave out, with where each is.

    Raises:
        DataError: A listed name is no clip of the sets, or one name is on both lists.
        ConfigurationError: `ratio` is not above 0 and at most 1.
    """
    if not 0.0 < ratio <= 1.0:
        raise ConfigurationError(f"ratio must be above 0 and at most 1 (the share of clips used); got {ratio}.")
    kept = list(clips)
    known = {clip.name for clip in kept}
    for option, names in (("include", include), ("exclude", exclude)):
        unknown = [f"{name!r} ({place})" for name, place in (names or {}).items() if name not in known]
        if unknown:
            raise DataError(
                f"{shown(unknown)} {'is' if len(unknown) == 1 else 'are'} on the {option} list, but the training sets "
                f"({len(known)} clips) have no such name ({len(unknown)} of {len(names or {})} listed). Fix the list."
            )
    both = sorted({*(include or {})} & {*(exclude or {})})
    if both:
        raise DataError(
            f"{shown(both)} ({len(both)}): on the include list and on the exclude list. Remove each from one of them."
        )
    if include is not None:
        kept = [clip for clip in kept if clip.name in include]
    if exclude:
        kept = [clip for clip in kept if clip.name not in exclude]
    return [clip for clip in kept if ratio >= 1.0 or stable_share(clip.name, "ratio") < ratio]


def limited_clips(clips: list[ClipRecord], limit: int | None, purpose: str = "") -> list[ClipRecord]:
    """At most `limit` clips, the same for every run and independent of the set's order; the order is kept.

    Args:
        clips: To choose from.
        limit: None takes all.
        purpose: See `stable_share`.

    Raises:
        ConfigurationError: The limit is below 1.
    """
    if limit is None or limit >= len(clips):
        return clips
    if limit < 1:
        raise ConfigurationError(f"A limit of clips must be at least 1; got {limit}.")
    chosen = sorted(range(len(clips)), key=lambda position: stable_share(clips[position].name, purpose))[:limit]
    return [clips[position] for position in sorted(chosen)]


def is_neutral(clip: ClipRecord) -> bool:
    """Whether a clip's truth is neutrality alone, which neither hit rate nor WAF scores (paper, Section 4).

    >>> is_neutral(ClipRecord("a", "meld", labels=("neutral",))), is_neutral(ClipRecord("b", "sims", sentiment=0.0))
    (True, True)
    """
    if clip.description:
        return False
    return clip.labels == _NEUTRAL or (not clip.labels and clip.sentiment == 0)


@dataclass(frozen=True)
class ClipSources:
    """Where clips come from. The attributes are options of `ClipDataModule`, which explains them.

    Raises:
        ConfigurationError: A share or a limit is out of range.
        DataError: There is no such set.
    """

    train_root: Path | None = None
    train_sets: tuple[str, ...] = ("mer-caption-plus",)
    benchmark_root: Path | None = None
    test_sets: tuple[str, ...] | None = None
    expected_counts: dict[str, int] | str = "official"
    test_overlap: TestOverlap = "error"
    missing_subtitle: MissingSubtitle = "error"
    neutral_share: float = 1.0
    emotion_filter: PluginChoice | None = None
    ratio: float = 1.0
    include: Sequence[str] | str | None = None
    exclude: Sequence[str] | str | None = None
    columns: dict[str, str] | None = None
    validation_share: float = 0.0
    limit_train_clips: int | None = None
    limit_test_clips: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_share < 1.0:
            raise ConfigurationError(f"validation_share must be at least 0 and below 1; got {self.validation_share}.")
        if not 0.0 <= self.neutral_share <= 1.0:
            raise ConfigurationError(f"neutral_share must be between 0 and 1; got {self.neutral_share}.")
        if not 0.0 < self.ratio <= 1.0:
            raise ConfigurationError(f"ratio must be above 0 and at most 1; got {self.ratio}.")
        if self.test_overlap not in ("error", "drop"):
            raise ConfigurationError(f"test_overlap must be error or drop; got {self.test_overlap!r}.")
        if self.missing_subtitle not in ("error", "empty"):
            raise ConfigurationError(f"missing_subtitle must be error or empty; got {self.missing_subtitle!r}.")
        self._take_names()
        if not self.train_sets or len(set(self.train_sets)) != len(self.train_sets):
            raise ConfigurationError(f"train_sets must name at least one set, each once; got {[*self.train_sets]}.")

    def _take_names(self) -> None:
        """Replace the names of the sets by their keys; `known_sets.py` says which names a set has."""
        keys = {"train_sets": tuple(self._key(name, TRAINING_SETS) for name in self.train_sets)}
        if self.test_sets is not None:
            keys["test_sets"] = tuple(self._key(name) for name in self.test_sets)
        for attribute, value in keys.items():
            object.__setattr__(self, attribute, value)
        if not isinstance(self.expected_counts, str):
            counts = {self._key(name): number for name, number in self.expected_counts.items()}
            object.__setattr__(self, "expected_counts", counts)
        elif self.expected_counts not in ("official", "any"):
            raise ConfigurationError(
                f"expected_counts must be official, any, or numbers by set such as {{meld: 100}}; got "
                f"{self.expected_counts!r}."
            )

    def _key(self, name: str, others: Mapping[str, TrainingSet] = MappingProxyType({})) -> str:
        """The key of the set that a name means; the path of a table as it is."""
        if is_own_table(name) or canonical_key(name, others) in others:
            return canonical_key(name, others)
        if others and not keys_of(name, known_sets(self.train_root, self.benchmark_root)):
            trainable = [*others, *(key for key, item in MER_UNIBENCH.sets.items() if item.train_corpus_key)]
            raise DataError(
                f"There is no training set {name!r}.{near_hint(name, {**MER_UNIBENCH.sets, **others})} The sets to train on "
                f"are {', '.join(trainable)}, or the path of a table of your own."
            )
        return find_benchmark_set(name, self.train_root, self.benchmark_root).key

    def weights_by_corpus(self, weights: Mapping[str, float] | None) -> dict[str, float]:
        """Weights of the training sets by `ClipRecord.corpus`; empty if none are given.

        Raises:
            ConfigurationError: A name is none of `train_sets`, or a weight is not above 0.
        """
        corpora = [Path(key).stem if is_own_table(key) else key for key in self.train_sets]
        named = {self._key_among_trained(name): weight for name, weight in (weights or {}).items()}
        return dict(zip(corpora, checked_weights(named, self.train_sets), strict=False))

    def _key_among_trained(self, name: str) -> str:
        """The key that a name means among all sets; the name itself where it means none, which its user refuses."""
        return canonical_key(name, {**TRAINING_SETS, **known_sets(self.train_root, self.benchmark_root)})

    def training_clips(self) -> tuple[list[ClipRecord], list[ClipRecord]]:
        """Clips to train on, and clips to validate on; none of them is a clip of the test sets.

        Raises:
            DataError: A folder, file, column or clip is wrong, nothing is left, or a test clip is among them.
            ConfigurationError: `train_root` is not set.
        """
        everything = [clip for key in self.train_sets for clip in self._read_training_set(key)]
        selected = select_clips(
            everything,
            ratio=self.ratio,
            include=listed_names(self.include, self.train_root, "include"),
            exclude=listed_names(self.exclude, self.train_root, "exclude"),
        )
        if len(selected) < len(everything):
            _log.info("%d of %d training clips are used (ratio, include, exclude).", len(selected), len(everything))
        clips = self._without_test_clips(selected)
        if self.emotion_filter is not None:
            clips = with_emotion_words(clips, self.emotion_filter)
        kept = [clip for clip in clips if not is_neutral(clip) or stable_share(clip.name) < self.neutral_share]
        if len(kept) < len(clips):
            _log.info(
                "%d of %d training clips are left out, because they are neutral.", len(clips) - len(kept), len(clips)
            )
        limited = limited_clips(kept, self.limit_train_clips, purpose="limit")
        training = [clip for clip in limited if stable_share(clip.name) >= self.validation_share]
        validation = [clip for clip in limited if stable_share(clip.name) < self.validation_share]
        if not training:
            raise DataError(
                f"No clip of the {len(everything)} in {self.train_root} is left for training: validation_share is "
                f"{self.validation_share:g}, neutral_share {self.neutral_share:g}, ratio {self.ratio:g} and "
                f"limit_train_clips {self.limit_train_clips}. Lower the first or raise the others, and check include and "
                f"exclude."
            )
        return training, validation

    def test_clips(self) -> list[ClipRecord]:
        """Clips of all test sets, set by set.

        Raises:
            DataError: A folder, file, column or clip is wrong, or there is no set.
            ConfigurationError: `benchmark_root` is not set.
        """
        return [
            clip for key in self._test_keys() for clip in limited_clips(self._read_test_set(key), self.limit_test_clips)
        ]

    def _read_training_set(self, key: str) -> list[ClipRecord]:
        if is_own_table(key):
            path = table_path(key, self.train_root)
            return without_faults(path, read_own_table(path, self.columns, "train"))
        if self.train_root is None:
            raise ConfigurationError(
                f"data.train_root is not set. Give the folder that contains the training sets ({key}); "
                "`affect-lightning sandbox --out DIR` writes a generated one."
            )
        if key in TRAINING_SETS:
            return read_training_set(self.train_root, key, missing_subtitle=self.missing_subtitle)
        return read_benchmark_set(self.train_root, key, split="train", missing_subtitle=self.missing_subtitle)

    def _read_test_set(self, key: str) -> list[ClipRecord]:
        if is_own_table(key):
            return read_own_table(table_path(key, self.benchmark_root), self.columns, "test")
        return read_benchmark_set(
            self._checked_benchmark_root(),
            key,
            expected_count=self._expected_count(key),
            missing_subtitle=self.missing_subtitle,
        )

    def _expected_count(self, key: str) -> ExpectedCount:
        if isinstance(self.expected_counts, Mapping):
            return self.expected_counts.get(key, "official")
        return "any" if self.expected_counts == "any" else "official"

    def _test_keys(self) -> Sequence[str]:
        if self.test_sets is not None:
            return self.test_sets
        root = self._checked_benchmark_root()
        sets = known_sets(root)
        keys = [key for key, item in sets.items() if (root / item.folder).is_dir()]
        if not keys:
            expected = ", ".join(item.folder for item in sets.values())
            raise DataError(f"{root} (data.benchmark_root) has no test set. Expected one or more of {expected}.")
        return keys

    def _checked_benchmark_root(self) -> Path:
        if self.benchmark_root is None:
            raise ConfigurationError(
                "data.benchmark_root is not set. Give the folder that contains the *-process/ folders of MER-UniBench; "
                "`affect-lightning sandbox --out DIR` writes generated ones."
            )
        if not self.benchmark_root.is_dir():
            raise DataError(
                f"The folder {self.benchmark_root} (data.benchmark_root) is missing. Give the folder that "
                f"contains the *-process/ folders."
            )
        return self.benchmark_root

    def _without_test_clips(self, clips: Sequence[ClipRecord]) -> list[ClipRecord]:
        """Names are compared with the test clips of every set that is known: those to test, and the training sets'."""
        kept = list(clips)
        for title, names in self.known_test_names():
            shared = sorted({clip.name for clip in kept} & names)
            if shared and self.test_overlap == "error":
                raise DataError(
                    f"{shown(shared)} ({len(shared)} of {len(kept)} training clips) are test clips of {title}. Every clip "
                    f"must be in one split only. Remove them from the training sets ({', '.join(self.train_sets)}), or set "
                    f"test_overlap to drop, which leaves them out of training."
                )
            if shared:
                _log.warning("%d training clips are left out, because they are test clips of %s.", len(shared), title)
                kept = [clip for clip in kept if clip.name not in names]
        return kept

    def known_test_names(self) -> Iterable[tuple[str, frozenset[str]]]:
        """The names of the test clips of every set that is known, with the set's title."""
        root = self.benchmark_root  # a missing folder is reported when it is tested on
        trained, tested = known_sets(self.train_root), known_sets(root)
        for key in self.train_sets:
            if key in trained and self.train_root is not None:
                yield trained[key].title, benchmark_names(self.train_root, key)
        for key in self.test_sets or tested:
            if is_own_table(key):
                clips = read_own_table(table_path(key, root), self.columns, "test")
                yield key, frozenset(clip.name for clip in clips)
            elif root is not None and key in tested and tested[key].folder in (root.name, *_folders(root)):
                yield tested[key].title, benchmark_names(root, key)


def _folders(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []


def hears_subtitles(trainer: Any) -> bool:
    """Whether a callback of a Trainer hears the subtitles that are missing, as that of `predict --transcriber` does."""
    return any(getattr(callback, "hears_subtitles", False) for callback in getattr(trainer, "callbacks", ()))
