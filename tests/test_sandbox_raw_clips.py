"""The sandbox's raw clips: what is planted in them, and where the truth stands."""

from __future__ import annotations

import ast
import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from affect_lightning.annotation.lengths import length_of
from affect_lightning.errors import ConfigurationError
from affect_lightning.metrics import taxonomy_by_name
from affect_lightning.sandbox.authoring import AuthoredClip
from affect_lightning.sandbox.emotions import ClipScript, label_words
from affect_lightning.sandbox.generation import generate_sandbox
from affect_lightning.sandbox.performing import ClipMeasure
from affect_lightning.sandbox.raw_clips import author_raw_clips

PEOPLE = range(24)


def written(clips: int = 300, faults: float = 0.3, seed: int = 0) -> list[AuthoredClip]:
    return author_raw_clips(clips, seed=seed, identities=PEOPLE, faults=faults)


def faults_of(clips: list[AuthoredClip]) -> Counter[str]:
    return Counter(clip.script.fault or "" for clip in clips)


def test_the_planted_shares_are_those_of_the_page() -> None:
    assert faults_of(written()) == {
        "": 210,
        "unseen_voice": 45,
        "wrong_description": 30,
        "short_description": 7,
        "long_description": 8,
    }
    assert faults_of(written(24)) == {"": 17, "unseen_voice": 4, "wrong_description": 2, "short_description": 1}
    assert faults_of(written(40, faults=0.0)) == {"": 40}
    lips = [clip.script.lips for clip in written() if clip.script.fault == "unseen_voice"]
    assert sum(sentence is not None for sentence in lips) == 22


def test_the_same_seed_plants_the_same_faults() -> None:
    assert written(60) == written(60)
    assert written(60) != written(60, seed=1)


def test_a_fault_changes_nothing_but_itself() -> None:
    for sound, clip in zip(written(faults=0.0), written(), strict=True):
        changed = replace(clip, script=replace(clip.script, fault=None, lips=None), description=sound.description)
        assert changed == sound
        has_wrong_text = str(clip.script.fault).endswith("description")
        assert (clip.description != sound.description) == has_wrong_text


def test_a_wrong_description_shares_no_sector_with_the_truth() -> None:
    taxonomy = taxonomy_by_name("builtin")
    known = set(label_words())
    for clip in written():
        text = [word for word in known if word in clip.description.replace(",", " ").replace(".", " ").split()]
        shared = (taxonomy.encode([text]) & taxonomy.encode([clip.labels])).any()
        if clip.script.fault == "wrong_description":
            assert not shared
            assert not set(text) & set(clip.labels)
        elif clip.script.fault != "short_description" and clip.emotion != "neutral":
            assert shared


def test_wrong_lengths_are_outside_those_of_all_other_descriptions() -> None:
    lengths: dict[str, list[int]] = {}
    for clip in written():
        lengths.setdefault(clip.script.fault or "", []).append(length_of(clip.description))
    assert max(lengths["short_description"]) < min(lengths[""]) < max(lengths[""]) < min(lengths["long_description"])


def test_faults_that_cannot_be_planted_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="share of faults must be from 0"):
        written(faults=1.5)
    with pytest.raises(ConfigurationError, match="Ask for more raw clips"):
        written(1, faults=1.0)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_a_name(script: ClipScript, video: Path, audio: Path) -> ClipMeasure:
    for path in (video, audio):
        path.write_text(script.name, encoding="utf-8")
    return ClipMeasure(2.0, 50, None)


def test_the_folder_of_the_clips_does_not_tell_the_truth(tmp_path: Path) -> None:
    options = {"clips": 1, "test_clips": 1, "workers": 1, "performer": write_a_name}
    made = generate_sandbox(tmp_path / "with", raw_clips=40, **options)  # type: ignore[arg-type]
    folder = made.root / "raw-clips"
    clips, truth = rows_of(folder / "clips.csv"), rows_of(made.root / "raw_faults.csv")
    assert (made.raw_clips, len(clips)) == (40, 40)
    assert list(clips[0]) == ["name", "media", "subtitle"]
    assert all((folder / clip["media"]).read_text(encoding="utf-8") == clip["name"] for clip in clips)
    assert [row["name"] for row in truth] == [row["name"] for row in clips]
    assert Counter(row["fault"] for row in truth)["unseen_voice"] == 6
    assert {row["lips"] for row in truth if row["fault"] == "unseen_voice"} == {"rest", "other speech"}
    assert all(ast.literal_eval(row["labels"]) for row in truth)
    assert list(rows_of(folder / "descriptions.csv")[0]) == ["name", "description"]
    told = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.csv"))
    assert "unseen_voice" not in told
    assert "wrong_description" not in told
    without = generate_sandbox(tmp_path / "without", **options)  # type: ignore[arg-type]
    assert not (without.root / "raw-clips").exists()
    assert (without.root / "mer-caption-plus" / "subtitle_chieng.csv").read_bytes() == (
        made.root / "mer-caption-plus" / "subtitle_chieng.csv"
    ).read_bytes()
