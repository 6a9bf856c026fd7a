"""What a datasheet tells of: counts at each stage, counts of the labels, and the limits that follow from a table.

Paper: Section 2 (the filters and their order). Neighbours: `datasheet.py`, which writes it down, and `writing.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from affect_lightning.annotation.exporting.clips import ExportedClip
from affect_lightning.annotation.exporting.layouts import Written
from affect_lightning.annotation.lengths import length_of
from affect_lightning.annotation.tables import KEPT, ClipTable, StageRecord
from affect_lightning.metrics import Taxonomy


@dataclass(frozen=True)
class StageCount:
    """Clips at a filter.

    Attributes:
        stage: Whose verdicts.
        dropped: Clips that it drops, whatever the filters before it say.
        undecided: Clips of which it cannot tell; they stay.
        left: Clips that it and all filters before it keep.
    """

    stage: str
    dropped: int
    undecided: int
    left: int


class TableTally:
    """Counts of a table, taken from some thousand clips after the other.

    Attributes:
        clips: Rows.
        kept: Clips that every filter keeps.
    """

    def __init__(self, columns: Sequence[str], records: Sequence[StageRecord]) -> None:
        """Find the filters, in the order in which they ran.

        Args:
            columns: Of the table.
            records: Of the stages that made them.
        """
        made = [column for record in records for column in record.columns if column.startswith(KEPT)]
        present = [column for column in columns if column.startswith(KEPT)]
        self._filters = list(dict.fromkeys([*(column for column in made if column in present), *present]))
        self._dropped, self._undecided, self._left = ([0] * len(self._filters) for _ in range(3))
        self.clips = self.kept = 0

    def add(self, table: ClipTable) -> None:
        """Count some clips of the table."""
        left = [True] * len(table)
        for place, column in enumerate(self._filters):
            verdicts = table.column(column)
            left = [stays and verdict is not False for stays, verdict in zip(left, verdicts, strict=True)]
            self._dropped[place] += verdicts.count(False)
            self._undecided[place] += verdicts.count(None)
            self._left[place] += sum(left)
        self.clips += len(table)
        self.kept += sum(left)

    @property
    def stages(self) -> list[StageCount]:
        """The clips at each filter, in the order in which the filters ran."""
        counts = zip(self._filters, self._dropped, self._undecided, self._left, strict=True)
        return [StageCount(column.removeprefix(KEPT), *rest) for column, *rest in counts]


@dataclass
class ClipTally:
    """Counts of the clips of a data set, taken clip after clip.

    Attributes:
        clips: All of them.
        videos: With a video file.
        sounds: With a sound file of their own.
        subtitles: With a subtitle.
        labelled: With a label.
        labels: Clips of each label; a label counts once a clip.
        labels_a_clip: Clips by the number of their labels.
        lengths: Descriptions by their number of words.
    """

    clips: int = 0
    videos: int = 0
    sounds: int = 0
    subtitles: int = 0
    labelled: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    labels_a_clip: Counter[int] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, clip: ExportedClip) -> None:
        """Count a clip."""
        self.clips += 1
        self.videos += clip.video is not None
        self.sounds += clip.audio is not None
        self.subtitles += bool(clip.subtitle)
        self.labelled += bool(clip.labels)
        self.labels.update({word.strip().lower() for word in clip.labels})
        self.labels_a_clip[len(clip.labels)] += 1
        if clip.description:
            self.lengths[length_of(clip.description)] += 1


@dataclass(frozen=True)
class Contents:
    """What the datasheet tells of.

    Attributes:
        table: Counts of the table from which the clips come.
        records: Of the stages that made the table.
        clips: Counts of the data set.
        lengths_before: Descriptions of the table by their number of words; empty if the data set has none.
        written: What the format made of them.
        layout: Name of the format.
        every_clip: Whether clips that a filter dropped are in it.
        left_out: Clips that stayed and are not in it, by the reason.
        seconds: Durations that were measured.
        taxonomy: On whose wheel the labels are drawn.
        wheel: Number of that wheel.
        time: Of the export, in UTC.
        version: Of affect-lightning.
    """

    table: TableTally
    records: Sequence[StageRecord]
    clips: ClipTally
    lengths_before: Mapping[int, int]
    written: Written
    layout: str
    every_clip: bool
    left_out: Mapping[str, int]
    seconds: Sequence[float]
    taxonomy: Taxonomy
    wheel: int
    time: str
    version: str


def lengths_in(tables: Iterable[ClipTable], column: str) -> Counter[int]:
    """Texts of a column by their number of words; empty ones do not count."""
    return Counter(length_of(text) for table in tables for text in table.texts(column) if text.strip())


_FILTERS = {
    "speaker": "The visible person may not be the speaker: the filter speaker has not run.",
    "length": "Very short and very long descriptions are in it: the filter length has not run.",
    "agree": "No votes check the emotion of the descriptions: the filter agree has not run.",
}


def known_limits(contents: Contents) -> list[str]:
    """What a user of the data set should know, as far as the table tells."""
    table, clips = contents.table, contents.clips
    stages = [record.stage for record in contents.records]
    counts = table.stages
    limits = []
    if contents.every_clip:
        dropped = table.clips - table.kept
        limits.append(
            f"Clips that a filter dropped are in it, too: {dropped:,} of the {table.clips:,} clips of the table."
        )
    limits += [sentence for name, sentence in _FILTERS.items() if name not in {one.stage for one in counts}]
    limits += [
        f"The filter {one.stage} cannot tell of {one.undecided:,} clips; they stay." for one in counts if one.undecided
    ]
    limits.append(
        "Models wrote the descriptions. Nobody has checked each of them."
        if "describe" in stages
        else "The table does not say who wrote the descriptions."
    )
    extractors = {record.parts["label extractor"] for record in contents.records if "label extractor" in record.parts}
    labels = clips.labels
    if labels and extractors:
        limits.append(f"A label extractor read the labels from the descriptions: {', '.join(sorted(extractors))}.")
    elif labels:
        limits.append("The table does not say where the labels come from.")
    limits += _label_limits(labels, contents)
    silent = clips.clips - clips.subtitles
    if silent:
        limits.append(f"{silent:,} of the {clips.clips:,} clips have no subtitle.")
    limits.append("Faces and voices are personal data. The export checks neither consent nor rights to the clips.")
    return limits


def _label_limits(labels: Counter[str], contents: Contents) -> list[str]:
    if not labels:
        return []
    labelled = contents.clips.labelled
    label, count = min(labels.items(), key=lambda item: (-item[1], item[0]))
    found = [f"The labels are not balanced: {label!r} is on {count / labelled:.0%} of the labelled clips."]
    wheels = range(1, len(contents.taxonomy.wheels) + 1)
    lost = sum(n for word, n in labels.items() if all(contents.taxonomy.sector(word, k) is None for k in wheels))
    if lost:
        share = lost / labels.total()
        found.append(
            f"{share:.1%} of the labels are on no wheel of the taxonomy {contents.taxonomy.name}. MER-UniBench drops such labels."
        )
    return found
