"""What a datasheet tells of: counts at each stage, counts of the labels, and the limits that follow from a table.

Paper: Section 2 (the filters and their order). Neighbours: `datasheet.py`, which writes it down, and `writing.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affect_lightning.annotation.exporting.clips import ExportedClip
from affect_lightning.annotation.exporting.layouts import Written
from affect_lightning.annotation.tables import KEPT, ClipTable
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


@dataclass(frozen=True)
class Contents:
    """What the datasheet tells of.

    Attributes:
        table: From which the clips come.
        clips: Of the data set.
        written: What the format made of them.
        layout: Name of the format.
        every_clip: Whether clips that a filter dropped are in it.
        left_out: Clips that stayed and are not in it, by the reason.
        seconds: Durations that were measured.
        taxonomy: On whose wheel the labels are drawn.
        wheel: Number of that wheel.
        column: Of the descriptions.
        time: Of the export, in UTC.
        version: Of affect-lightning.
    """

    table: ClipTable
    clips: Sequence[ExportedClip]
    written: Written
    layout: str
    every_clip: bool
    left_out: Mapping[str, int]
    seconds: Sequence[float]
    taxonomy: Taxonomy
    wheel: int
    column: str
    time: str
    version: str


def stage_counts(table: ClipTable) -> list[StageCount]:
    """The clips at each filter, in the order in which the filters ran."""
    made = [column for record in table.records for column in record.columns if column.startswith(KEPT)]
    present = [column for column in table.columns if column.startswith(KEPT)]
    order = dict.fromkeys([*(column for column in made if column in present), *present])
    left, counts = [True] * len(table), []
    for column in order:
        verdicts = table.column(column)
        left = [stays and verdict is not False for stays, verdict in zip(left, verdicts, strict=True)]
        counts.append(StageCount(column.removeprefix(KEPT), verdicts.count(False), verdicts.count(None), sum(left)))
    return counts


def label_counts(clips: Sequence[ExportedClip]) -> Counter[str]:
    """The clips of each label; a label counts once a clip."""
    return Counter(label for clip in clips for label in {word.strip().lower() for word in clip.labels})


_FILTERS = {
    "speaker": "The visible person may not be the speaker: the filter speaker has not run.",
    "length": "Very short and very long descriptions are in it: the filter length has not run.",
    "agree": "No votes check the emotion of the descriptions: the filter agree has not run.",
}


def known_limits(contents: Contents) -> list[str]:
    """What a user of the data set should know, as far as the table tells."""
    table, clips = contents.table, contents.clips
    stages = [record.stage for record in table.records]
    counts = stage_counts(table)
    limits = []
    if contents.every_clip:
        dropped = len(table) - sum(table.kept())
        limits.append(
            f"Clips that a filter dropped are in it, too: {dropped:,} of the {len(table):,} clips of the table."
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
    extractors = {record.parts["label extractor"] for record in table.records if "label extractor" in record.parts}
    labels = label_counts(clips)
    if labels and extractors:
        limits.append(f"A label extractor read the labels from the descriptions: {', '.join(sorted(extractors))}.")
    elif labels:
        limits.append("The table does not say where the labels come from.")
    limits += _label_limits(labels, contents)
    silent = sum(not clip.subtitle for clip in clips)
    if silent:
        limits.append(f"{silent:,} of the {len(clips):,} clips have no subtitle.")
    limits.append("Faces and voices are personal data. The export checks neither consent nor rights to the clips.")
    return limits


def _label_limits(labels: Counter[str], contents: Contents) -> list[str]:
    if not labels:
        return []
    labelled = sum(bool(clip.labels) for clip in contents.clips)
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
