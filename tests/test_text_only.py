"""Text only: official transcripts and labels in, no media opened, test clips kept out of training, the YAML's own way."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from affect_lightning.command_line.program import main
from affect_lightning.data import decoding
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.clip_sources import ClipSources, is_neutral
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.prompting import question_text
from affect_lightning.training import AffectGPTModule

EXPERIMENT = Path(__file__).resolve().parents[1] / "experiments" / "text_only.yaml"
SETS = ["meld", "mer2023", "cmumosi", "sims"]


def experiment_data(root: Path, **more: Any) -> dict[str, Any]:
    """The data options of the shipped experiment, on another folder."""
    options = yaml.safe_load(EXPERIMENT.read_text(encoding="utf-8"))
    inputs = options["model"]["inputs"]
    return {**options["data"], "train_root": root, "benchmark_root": root, "inputs": inputs, **more}


def write_official(root: Path, key: str, label: dict[str, Any], test: list[str], train: list[str]) -> None:
    """A set with labels and transcripts and nothing else; the same label everywhere."""
    from affect_lightning.corpora import MER_UNIBENCH

    item = MER_UNIBENCH.sets[key]
    folder = root / item.folder
    folder.mkdir(parents=True)
    entries: dict[str, Any] = {
        str(item.corpus_key): dict.fromkeys(test, label),
        str(item.train_corpus_key): dict.fromkeys(train, label),
    }
    np.savez(folder / item.label_files[0], **entries)
    rows = "".join(f"{name},你好 {name},hello {name}\n" for name in [*test, *train])
    (folder / "transcription-engchi-polish.csv").write_text("name,chinese,english\n" + rows, encoding="utf-8")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Four small sets without any media."""
    root = tmp_path / "labels"
    write_official(root, "meld", {"emo": 1, "val": -10}, ["test_1", "test_2"], ["train_1", "train_2", "train_3"])
    write_official(root, "mer2023", {"emo": "angry", "val": -1.0}, ["sample_1", "sample_2"], ["sample_3", "sample_4"])
    write_official(root, "cmumosi", {"emo": 0, "val": -1.6}, ["a_1", "a_2"], ["b_1", "b_2"])
    write_official(root, "sims", {"emo": 0, "val": 0.4}, ["video_1", "video_2"], ["video_3", "video_4"])
    return root


@pytest.fixture
def no_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening any media, or building a face detector or an encoder, fails the test."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"text only, yet {arguments} was opened or built")

    def build(group: str, *arguments: Any, **options: Any) -> Any:
        from affect_lightning.plugin_loading import build_part

        assert group in ("language_models", "label_extractors"), f"text only, yet a part of {group} was built"
        return build_part(group, *arguments, **options)

    monkeypatch.setattr(decoding, "open_container", refuse)
    monkeypatch.setattr("affect_lightning.data.dataset.decode_files", refuse)
    monkeypatch.setattr("affect_lightning.data.clip_splits.build_part", build)
    monkeypatch.setattr("affect_lightning.model.part_building.build_part", build)


def test_every_set_is_asked_and_answered_in_its_own_way(labels: Path, no_media: None) -> None:
    module = ClipDataModule(**experiment_data(labels, batch_size=3, expected_counts="any"))
    module.setup("fit")
    rows = {
        (record.corpus, question, response)
        for batch in module.train_dataloader()
        for record, question, response in zip(batch.records, batch.questions, batch.responses, strict=True)
    }
    naming, feeling = question_text("name"), question_text("sentiment")
    assert rows == {
        ("meld", naming, "The person feels joy."),
        ("mer2023", naming, "The person feels angry."),
        ("cmumosi", feeling, "The person feels negative."),
        ("sims", feeling, "The person feels positive."),
    }
    module.setup("test")
    asked = Counter(
        (record.corpus, question, response)
        for batch in module.test_dataloader()
        for record, question, response in zip(batch.records, batch.questions, batch.responses, strict=True)
    )
    assert asked == {
        ("meld", naming, ""): 2,
        ("mer2023", naming, ""): 2,
        ("cmumosi", feeling, ""): 2,
        ("sims", feeling, ""): 2,
    }


def test_responses_become_the_truth_again(labels: Path) -> None:
    """What is trained is scored as right: by the extractor, the taxonomy and the metric of each set."""
    from affect_lightning.metrics import Taxonomy
    from affect_lightning.plugin_loading import build_part
    from affect_lightning.unibench.scoring.predictions import Prediction
    from affect_lightning.unibench.scoring.set_scoring import score_predictions

    module = ClipDataModule(**experiment_data(labels))
    module.setup("fit")
    predictions = [
        Prediction(record.name, record.corpus, "", response, record.labels, record.sentiment)
        for batch in module.train_dataloader()
        for record, response in zip(batch.records, batch.responses, strict=True)
    ]
    unique = {(row.corpus, row.name): row for row in predictions}
    scores = score_predictions(unique.values(), build_part("label_extractors", "rules"), Taxonomy.builtin())
    assert {key: score.score for key, score in scores.sets.items()} == dict.fromkeys(SETS, 100.0)


def test_test_clips_are_never_trained_on(reference: Path) -> None:
    """The issue's demand, on the real label files: names of what is read, against the files' own test entries."""
    from affect_lightning.safe_npz import read_npz

    root = reference / "labels"
    module = ClipDataModule(**experiment_data(root))
    module.setup("fit")
    module.setup("test")
    trained = {(clip.corpus, clip.name) for clip in module.records["train"]}
    tested = {(clip.corpus, clip.name) for clip in module.records["test"]}
    assert Counter(corpus for corpus, _ in trained) == {"meld": 5279, "mer2023": 2502, "cmumosi": 1231, "sims": 1161}
    assert Counter(corpus for corpus, _ in tested) == {"mer2023": 411, "meld": 2610, "cmumosi": 686, "sims": 457}
    held_out: set[str] = set()
    for folder, file in (("meld", "label"), ("mer2023-dataset", "label-6way"), ("cmumosi", "label"), ("sims", "label")):
        content = read_npz(root / f"{folder}-process" / f"{file}.npz")
        held_out |= {name for entry, clips in content.items() if "test" in entry or "val" in entry for name in clips}
    assert len(held_out) == 2610 + 1109 + 411 + 412 + 834 + 686 + 229 + 457 + 456
    assert not {name for _, name in trained} & held_out
    given_out = {name for batch in module.train_dataloader() for name in batch.names}
    assert given_out <= {name for _, name in trained}


def test_a_test_clip_among_the_training_clips_is_refused(labels: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("name,text,labels\nown_1,Hm.,sad\ntest_2,Ah.,happy\n", encoding="utf-8")
    options: dict[str, Any] = {"train_root": labels, "train_sets": ("meld", str(table)), "benchmark_root": labels}
    message = (
        r"^test_2 \(1 of 5 training clips\) are test clips of MELD\. Every clip must be in one split only\. "
        r"Remove them .*test_overlap to drop, which leaves them out of training\.$"
    )
    for more in ({}, {"benchmark_root": None}, {"test_sets": ("meld",)}):
        with pytest.raises(DataError, match=message):
            ClipSources(**{**options, **more}).training_clips()
    kept, _ = ClipSources(**options, test_overlap="drop").training_clips()
    assert sorted(clip.name for clip in kept) == ["own_1", "train_1", "train_2", "train_3"]
    with pytest.raises(DataError, match=r"own_1, test_2 \(2 of 2 training clips\) are test clips of .*mine.csv"):
        ClipSources(train_sets=(str(table),), test_sets=(str(table),)).training_clips()


def test_own_tables_are_trained_and_tested_on(tmp_path: Path, no_media: None) -> None:
    (tmp_path / "mine.csv").write_text('name,text,labels\na,Hm.,"sad, tired"\nb,Ah.,happy\n', encoding="utf-8")
    (tmp_path / "held_out.jsonl").write_text('{"name": "c", "text": "Oh.", "sentiment": -1}\n', encoding="utf-8")
    module = ClipDataModule(
        **{
            **experiment_data(tmp_path),
            "train_sets": ["mine.csv"],
            "test_sets": [str(tmp_path / "held_out.jsonl")],
        }
    )
    module.setup("fit")
    module.setup("test")
    (batch,) = list(module.train_dataloader())
    assert sorted(batch.responses) == ["The person feels happy.", "The person feels sad and tired."]
    (batch,) = list(module.test_dataloader())
    assert (batch.records[0].corpus, batch.records[0].sentiment, batch.subtitles) == ("held_out", -1.0, ["Oh."])


def test_neutral_clips_may_be_left_out(reference: Path) -> None:
    sources: dict[str, Any] = {"train_root": reference / "labels", "train_sets": ("meld", "sims")}
    everything, _ = ClipSources(**sources).training_clips()
    some, _ = ClipSources(**sources, neutral_share=0.25).training_clips()
    without, _ = ClipSources(**sources, neutral_share=0.0).training_clips()
    neutral = {clip.name for clip in everything if is_neutral(clip)}
    assert (len(everything), len(neutral)) == (9989 + 1368, 4710 + 207)  # counted in the label files
    assert not neutral & {clip.name for clip in without}
    assert len(without) == len(everything) - len(neutral)
    assert {clip.name for clip in without} < {clip.name for clip in some} < {clip.name for clip in everything}
    assert (len(some) - len(without)) / len(neutral) == pytest.approx(0.25, abs=0.02)


def test_a_model_of_text_needs_no_encoders() -> None:
    module = AffectGPTModule(language_model="tiny-lm", inputs=["text"])
    module.configure_model()
    network = module.built_network
    assert not network.encoders
    assert network.pre_fusion is None
    assert module.hparams["video_encoder"] is None
    with pytest.raises(ConfigurationError, match=r"The stream 'audio' needs an encoder and `audio_encoder` is not set"):
        AffectGPTModule(language_model="tiny-lm")
    with pytest.raises(ConfigurationError, match=r"The stream 'face' needs an encoder and `video_encoder` is not set"):
        AffectGPTModule(language_model="tiny-lm", inputs=["face", "text"])


def test_fit_and_test_by_the_experiment(labels: Path, tmp_path: Path, capfd: Any, no_media: None) -> None:
    """The shipped file through the program, with a tiny language model in the place of SmolLM2."""
    run = tmp_path / "runs" / "text_only" / "v0"
    words = [
        *("--config", str(EXPERIMENT), "--model.language_model", "tiny-lm", "--trainer.accelerator", "cpu"),
        *("--data.train_root", str(labels), "--data.benchmark_root", str(labels), "--benchmark.taxonomy", "builtin"),
        *("--data.expected_counts", "{mer2023: 2, meld: 2, cmumosi: 2, sims: 2}"),
        *("--trainer.logger.init_args.save_dir", str(tmp_path / "runs"), "--trainer.logger.init_args.version", "v0"),
    ]
    short = ("--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1", "--data.batch_size", "4")
    assert main(["fit", *words, *short]) == 0
    assert main(["test", *words, "--json", "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]) == 0
    result = json.loads(capfd.readouterr().out.strip().splitlines()[-1])
    assert set(result["sets"]) == set(SETS)
    (found,) = (run / "test").glob("*/predictions/sims.jsonl")
    rows = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
    assert [(row["name"], row["question"]) for row in rows] == [
        ("video_1", question_text("sentiment")),
        ("video_2", question_text("sentiment")),
    ]
