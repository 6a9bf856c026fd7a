"""Readers: the official annotation layouts of MER-Caption+ and MER-UniBench, read into ClipRecords.

Paper: Section 2 (MER-Caption+) and Appendix C with Table 11 (the nine sets of MER-UniBench). `benchmark_sets.py` is the
table of the nine sets, `benchmark.py` and `training.py` read folders, `own_tables.py` reads tables of the user's own,
`clip_counts.py` counts; `tables.py` and `media.py` read the files. Nothing is decoded here; the loader beside this
folder does that.
"""

from affect_lightning.corpora.benchmark import benchmark_names, read_benchmark_set
from affect_lightning.corpora.sets import BENCHMARK_SETS, BenchmarkSet, find_benchmark_set
from affect_lightning.corpora.corpus_file import ExpectedCount
from affect_lightning.corpora.own_tables import is_own_table, read_own_table
from affect_lightning.corpora.training import TRAINING_SETS, TrainingSet, read_training_set

__all__ = [
    "BENCHMARK_SETS",
    "TRAINING_SETS",
    "BenchmarkSet",
    "ExpectedCount",
    "TrainingSet",
    "benchmark_names",
    "find_benchmark_set",
    "is_own_table",
    "read_benchmark_set",
    "read_own_table",
    "read_training_set",
]
