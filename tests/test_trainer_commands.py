"""fit, test, predict and export through the program, with random tiny parts on a small generated corpus."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

from affect_lightning.command_line import trainer_commands
from affect_lightning.command_line.program import main
from affect_lightning.command_line.terminal import EXPECTED_LINES, silence_expected_warnings
from affect_lightning.command_line.trainer_commands import read_configuration
from affect_lightning.model.options import ModuleOptions
from affect_lightning.prompting import question_text
from affect_lightning.training import AffectGPTModule

TINY = Path(__file__).parent / "tiny.yaml"


def words(corpus: Path, out: Path, *more: str) -> list[str]:
    return [
        *("--config", str(TINY), "--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)),
        *("--trainer.logger.init_args.save_dir", str(out), "--trainer.logger.init_args.version", "v0"),
        *("--data.cache_folder", str(out / "boxes"), *more),
    ]


def test_the_parser_has_every_option_of_the_model_with_its_default_and_help() -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(AffectGPTModule, "model")
    found = {action.dest.removeprefix("model."): action for action in parser._actions if "." in action.dest}
    options = ModuleOptions(language_model="tiny-lm")
    assert found.keys() == vars(options).keys()
    for name, action in found.items():
        assert action.help, f"`{name}` has no text in the docstring of its group"
        assert name == "language_model" or action.default == getattr(options, name)


@pytest.fixture(scope="module")
def fitted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    assert main(["fit", *words(corpus, out)]) == 0
    return out / "tiny" / "v0"


def test_fit_leaves_a_run_folder(fitted: Path) -> None:
    assert (fitted / "config.yaml").is_file()
    assert (fitted / "checkpoints" / "last.ckpt").is_file()
    assert list(fitted.glob("events.out.tfevents*"))


def test_a_library_advertises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    silence_expected_warnings()
    for name in EXPECTED_LINES:
        logger = logging.getLogger(name)
        logger.addHandler(caplog.handler)  # Lightning's loggers hand nothing on
        try:
            logger.warning("\N{ELECTRIC LIGHT BULB} Tip: install what we sell")
            logger.warning("GPU available: False")
        finally:
            logger.removeHandler(caplog.handler)
    assert set(caplog.messages) == {"GPU available: False"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("command", "kind"), [("fit", "gpu"), ("test", "cuda"), ("fit", "tpu"), ("cache", "gpu")])
def test_an_accelerator_that_is_not_there_is_one_sentence(
    command: str, kind: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = ("--data.feature_folder", str(tmp_path / "features")) if command == "cache" else ()
    assert main([command, *words(corpus, tmp_path, *features, "--trainer.accelerator", kind)]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line and not line.startswith("Seed set to")]
    (line,) = told
    assert line.startswith("affect-lightning: error: Choose --trainer.accelerator auto or cpu")
    assert not list(tmp_path.rglob("*.ckpt"))


def test_checkpoint_holds_plain_values_and_trainable_weights_only(fitted: Path) -> None:
    checkpoint = torch.load(fitted / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"]["pre_fusion"]["name"] == "attention"
    assert checkpoint["state_dict"]
    assert not [key for key in checkpoint["state_dict"] if "encoder" in key]


def test_one_seed_of_a_run_is_the_seed_of_all_that_is_drawn(fitted: Path, corpus: Path, tmp_path: Path) -> None:
    assert main(["fit", *words(corpus, tmp_path, "--seed_everything", "1")]) == 0
    first, second = (folder / "checkpoints" / "last.ckpt" for folder in (fitted, tmp_path / "tiny" / "v0"))
    zero, one = (torch.load(path, weights_only=True) for path in (first, second))
    assert [checkpoint["hyper_parameters"]["seed"] for checkpoint in (zero, one)] == [0, 1]
    assert any(not value.equal(one["state_dict"][name]) for name, value in zero["state_dict"].items())
    section = read_configuration(words(corpus, tmp_path, "--seed_everything", "5", "--model.seed", "7"))
    assert (section.seed_everything, section.model.seed, section.data.seed) == (5, 7, 5)
    section = read_configuration(words(corpus, tmp_path, "--seed_everything", "false"))
    assert (section.model.seed, section.data.seed) == (0, 0)


def test_tensorboard_has_the_curves(fitted: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(fitted))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"speed/samples_per_second", "speed/data_wait_share", "data/frames_without_face"} <= tags
    assert {"speed/tokens_per_second", "speed/peak_share", "speed/padding_share", "memory/peak_gb"} <= tags
    # No upper bound: the peak is measured once, and another process may have had the processor just then.
    assert all(event.value > 0.0 for event in events.Scalars("speed/peak_share"))
    assert any("loss" in tag for tag in tags)
    assert any("lr" in tag or "learning_rate" in tag for tag in tags)
    assert any("norm" in tag for tag in tags)


def test_test_writes_predictions_and_report_into_a_folder_of_the_run_that_is_named(
    fitted: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(fitted / "checkpoints" / "last.ckpt")
    assert main(["test", *words(corpus, tmp_path), "--ckpt_path", checkpoint]) == 0
    (found,) = (tmp_path / "tiny" / "v0" / "test").iterdir()
    assert len(list((found / "predictions").glob("*.jsonl"))) == 9
    for name in ("report.json", "report.md", "report.html"):
        assert (found / name).stat().st_size > 0
    assert not (fitted / "predictions").exists()
    assert not (fitted / "test").exists()
    told = capsys.readouterr().out.splitlines()
    assert told[-2:] == ["Generated corpus, 2 clips a set, not comparable", f"Report: {found / 'report.html'}"]
    report = json.loads((found / "report.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in report["rows"]] == ["tiny/v0"]
    assert len(report["rows"][0]["provenance"]["generated"]) == 9


def test_results_may_go_to_a_folder_of_ones_own(
    fitted: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, own = str(fitted / "checkpoints" / "last.ckpt"), tmp_path / "own"
    more = ("--ckpt_path", checkpoint, "--benchmark.out", str(own), "--data.test_sets", "[meld]", "--json")
    assert main(["test", *words(corpus, tmp_path, *more)]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(own / "report.html")
    assert (own / "report.html").is_file()
    assert (own / "predictions" / "meld.jsonl").is_file()


def test_the_order_of_reading_changes_no_line(fitted: Path, corpus: Path, tmp_path: Path) -> None:
    checkpoint = str(fitted / "checkpoints" / "last.ckpt")
    written = []
    for first in ("true", "false"):
        out = tmp_path / first
        more = ("--ckpt_path", checkpoint, "--benchmark.out", str(out), "--data.longest_first", first)
        assert main(["test", *words(corpus, tmp_path, *more), "--data.test_sets", "[meld, cmumosi]"]) == 0
        examples = json.loads((out / "report.json").read_text(encoding="utf-8"))["rows"][0]["examples"]
        lines = {path.name: path.read_bytes() for path in (out / "predictions").iterdir()}
        written.append((lines, examples))
    assert written[0] == written[1]
    names = [json.loads(line)["name"] for line in written[0][0]["meld.jsonl"].splitlines()]
    assert names == sorted(names)
    assert len(names) > 1


def test_predict_and_export(fitted: Path, corpus: Path, tmp_path: Path) -> None:
    checkpoint = str(fitted / "checkpoints" / "last.ckpt")
    clip = next((corpus / "mer-caption-plus" / "video").glob("*.mp4"))
    exact = ("--trainer.precision", "32-true")  # in bf16 the two ways round differently, and a near tie may flip
    predicted = ["predict", *words(corpus, tmp_path, *exact), "--ckpt_path", checkpoint]
    predicted += ["--data.predict_video", str(clip)]
    assert main(predicted) == 0
    rows = [
        json.loads(line)
        for path in (tmp_path / "tiny" / "v0" / "predict").glob("*/predictions/own.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) == 1
    assert isinstance(rows[0]["response"], str)

    asked = ("--model.predict_questions", "[describe, name]", "--benchmark.out", str(tmp_path / "asked"))
    assert main([*predicted, *asked]) == 0
    lines = (tmp_path / "asked" / "predictions" / "own.jsonl").read_text(encoding="utf-8").splitlines()
    several = [json.loads(line) for line in lines]
    assert [row["question"] for row in several] == [question_text(kind) for kind in ("describe", "name")]
    assert several[1]["response"] == rows[0]["response"]

    assert main(["export", checkpoint, str(tmp_path / "exported")]) == 0
    assert (tmp_path / "exported" / "projectors.safetensors").is_file()
    assert list((tmp_path / "exported").rglob("adapter_config.json"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model.pre_fusion", "qfromer"], "Did you mean 'qformer'?"),
        (["--model.pre_fusion", "qformer", "--model.pre_fusion.queries", "3"], "has no option 'queries'"),
        (["--model.pre_fusion", "qformer", "--model.pre_fusion.num_queries", "many"], "num_queries"),
        (["--data.train_root", "nowhere"], "nowhere"),
        (["--model.learning_rte", "1"], "learning_rte"),
        (["--ckpt_path", "gone.ckpt"], "gone.ckpt"),
        (["--model.inputs", "[audio, smell]"], "smell"),
        (["--trainer.precision", "bf16-true"], "Train with trainer.precision bf16-mixed: with bf16-true the weights"),
    ],
)
def test_mistakes_end_with_code_two_and_one_paragraph(
    more: list[str], message: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *words(corpus, tmp_path), *more]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("affect-lightning: error:")]
    assert len(errors) == 1
    assert message in errors[0]


def test_fit_help_names_the_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Installed: attention, attention-released, bilinear, gated, none, qformer" in text


def test_plugin_help_from_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--model.pre_fusion.help", "qformer"]) == 0
    assert "num_queries" in capsys.readouterr().out


def test_print_config_shows_the_command_lines_choice(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--model.pre_fusion", "qformer", "--model.pre_fusion.num_queries", "3", "--print_config"]
    assert main(["fit", *words(corpus, tmp_path), *more]) == 0
    text = capsys.readouterr().out
    assert "name: qformer" in text
    assert "num_queries: 3" in text


@pytest.mark.parametrize("arithmetic", ["bf16-mixed", "32-true"])
def test_the_chosen_arithmetic_and_its_summary_warn_of_nothing(
    arithmetic: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `precision: null` means on this processor: warnings are errors here."""
    monkeypatch.setattr(trainer_commands, "fitting_precision", lambda accelerator: arithmetic)
    chosen: list[str] = []
    monkeypatch.setattr(
        trainer_commands.RunConfigCallback,
        "setup",
        lambda self, trainer, *rest, **named: chosen.append(trainer.precision),
    )
    more = ("--trainer.enable_model_summary", "true", "--trainer.max_steps", "1")
    assert main(["fit", *words(corpus, tmp_path, *more)]) == 0
    assert chosen == [arithmetic]


def test_removing_streams_builds_no_encoder_for_them(corpus: Path, tmp_path: Path) -> None:
    assert main(["fit", *words(corpus, tmp_path), "--model.inputs", "[text]", "--trainer.max_steps", "1"]) == 0


@pytest.mark.parametrize("fusion", ["none", "attention", "qformer", "gated", "bilinear"])
def test_every_pre_fusion_trains(fusion: str, corpus: Path, tmp_path: Path) -> None:
    assert main(["fit", *words(corpus, tmp_path), "--model.pre_fusion", fusion, "--trainer.max_steps", "1"]) == 0
