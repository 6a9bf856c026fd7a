"""The benchmark of scoring: its files are what it says, and its exponent is that of a known growth."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(name="benchmark_module")
def _benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    monkeypatch.delitem(sys.modules, "score", raising=False)
    import score

    return score


def test_descriptions_are_long_and_all_different(benchmark_module: Any, tmp_path: Path) -> None:
    predictions, labels = benchmark_module.write_files(tmp_path, "long", 300)
    responses = [json.loads(line)["response"] for line in predictions.read_text(encoding="utf-8").splitlines()]
    assert len(set(responses)) == 300
    assert 85 <= sum(len(text.split()) for text in responses) / 300 <= 115
    assert len(labels.read_text(encoding="utf-8").splitlines()) == 301
    predictions, _ = benchmark_module.write_files(tmp_path, "short", 40)
    assert predictions.read_text(encoding="utf-8").count("\n") == 41


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_is_that_of_the_growth_beyond_the_start(benchmark_module: Any, power: float) -> None:
    start = benchmark_module.Run(100, 1.0, 1.0, 60.0)
    runs = [benchmark_module.Run(rows, 0.0, 1.0 + (rows / 1000) ** power, 60.0) for rows in (1000, 3000, 10000)]
    assert benchmark_module.exponent(runs, start) == pytest.approx(power)
