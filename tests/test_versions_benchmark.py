"""`benchmarks/versions.py`: two versions work in turns, and the ratio is that of neighbours."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def script() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("versions")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_versions_take_turns_and_the_first_round_warms_up(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str, int]] = []

    class Worker:
        """The machine gets slower from round to round; this version takes half of the processor's time."""

        def __init__(self, root: Path, seeds: int) -> None:
            self.name = "other" if root == tmp_path else "this"
            assert root in (tmp_path, script.HERE)

        def do(self, way: str, seed: int) -> list[float]:
            asked.append((way, self.name, seed))
            return [(1.0 + seed) * (0.5 if self.name == "this" else 1.0), 1.0 + seed]

        def close(self) -> None:
            asked.append(("closed", self.name, 0))

    monkeypatch.setattr(script, "Version", Worker)
    rows = script.compare(tmp_path, 3)["rows"]
    cached = [(name, seed) for way, name, seed in asked if way == "cached"]
    turns = [["this", "other"], ["other", "this"]]
    assert cached == [(name, seed) for seed in range(4) for name in turns[seed % 2]]
    assert list(rows) == list(script.WORKS)
    assert rows["cached"]["processor"] == {"other": 3.0, "this": 1.5, "ratio": 0.5, "ratios": [0.5, 0.5]}
    assert rows["cached"]["wall"]["ratio"] == 1.0
    assert [name for way, name, _ in asked if way == "closed"] == ["other", "this"]
    assert "processor 1.50 s, other 3.00 s, ratio 0.500" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["nowhere"]])
def test_a_folder_without_source_is_refused(
    words: list[str], script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["versions.py", *words])
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == 2
    assert "name the folder of the other version's source" in capsys.readouterr().err
