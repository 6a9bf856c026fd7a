"""The costs in docs/fusions.md are those that its command counts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_table_in_the_docs_is_what_the_benchmark_prints() -> None:
    specification = importlib.util.spec_from_file_location(
        "fusions_benchmark", REPOSITORY / "benchmarks" / "fusions.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert module.table() in (REPOSITORY / "docs" / "fusions.md").read_text(encoding="utf-8")
