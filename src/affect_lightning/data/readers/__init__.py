"""Readers: the official annotation layouts of MER-Caption+ and MER-UniBench, read into ClipRecords.

Paper: Section 2 (MER-Caption+) and Appendix C with Table 11 (the nine sets of MER-UniBench). `benchmark_sets.py` is the
table of the nine sets, `benchmark.py` and `training.py` read folders, `tables.py` and `media.py` read their files.
Nothing is decoded here; the loader beside this folder does that.
"""

from affect_lightning.data.readers.benchmark import read_benchmark_set
from affect_lightning.data.readers.benchmark_sets import BENCHMARK_SETS, BenchmarkSet, find_benchmark_set
from affect_lightning.data.readers.training import TRAINING_SETS, TrainingSet, read_training_set

__all__ = [
    "BENCHMARK_SETS",
    "TRAINING_SETS",
    "BenchmarkSet",
    "TrainingSet",
    "find_benchmark_set",
    "read_benchmark_set",
    "read_training_set",
]
