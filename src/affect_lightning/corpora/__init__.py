"""Corpora: which sets there are, where their files are, and the clips and truths in them. Nothing is decoded here.

Paper: Section 2 (MER-Caption+) and Appendix C with Table 11 (the nine sets of MER-UniBench). `sets.py` is the one table
of the sets. `known_sets.py` adds those of third parties and knows what people call a set. `official_folders.py`,
`own_clips.py` and `predicted_clips.py` make ClipRecords, with the files that `media_folders.py` finds. `truths.py` reads labels,
`annotation_tables.py` rows, and `corpus_file.py` what a generated corpus declares. Importing this package imports the
table alone, without torch.
"""

from affect_lightning.corpora.known_sets import find_benchmark_set, known_sets
from affect_lightning.corpora.sets import (
    MER_UNIBENCH,
    METRIC_TITLES,
    TRAINING_SETS,
    BenchmarkSet,
    Metric,
    Suite,
    TrainingSet,
)

__all__ = [
    "MER_UNIBENCH",
    "METRIC_TITLES",
    "TRAINING_SETS",
    "BenchmarkSet",
    "Metric",
    "Suite",
    "TrainingSet",
    "find_benchmark_set",
    "known_sets",
]


def __dir__() -> list[str]:
    return sorted(__all__)
