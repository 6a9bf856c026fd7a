"""`affect-lightning import` and the way back through the program: the authors' checkpoint, and an adapter folder of peft."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from affect_lightning.checkpoints import read_checkpoint
from affect_lightning.checkpoints.affectgpt_layout import check_formulas
from affect_lightning.command_line.import_command import _DEFAULT
from affect_lightning.command_line.program import main
from affect_lightning.command_line.trainer_commands import read_configuration
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.model.options import ModuleOptions
from affectgpt_files import RELEASED, random_weights, write_their_file

TINY = Path(__file__).parent / "tiny.yaml"
MODEL = (
    *("--config", str(TINY), "--model.pre_fusion", "attention-released"),
    *("--model.branch_compression", "attention-released", "--model.fused_streams", "[face, audio]"),
    *("--model.language_model.lora_alpha", "32", "--model.prompt_form", "plain", "--model.response_end", "###"),
)

# Of the two kinds of checkpoints: what their options say was shown, and what the network then sees.
SHOWN = {"face": "multiface_audio_face_text", "frame": "multiframe_audio_frame_text"}
SEES: dict[str, tuple[str, ...]] = {
    "face": (),
    "frame": ("--model.inputs", "[multi, audio, frame, text]", "--model.fused_streams", "[frame, audio]"),
}


def places(corpus: Path, out: Path) -> list[str]:
    return [
        *("--data.train_root", str(corpus), "--data.benchmark_root", str(corpus), "--trainer.precision", "32-true"),
        *("--trainer.logger.init_args.save_dir", str(out / "runs"), "--data.cache_folder", str(out / "boxes")),
    ]


def responses(corpus: Path, out: Path, folder: Path, *more: str) -> list[str]:
    """What a network says to the clips of three sets."""
    sets = ("mer2023", "meld", "cmumosi")
    results = out / f"results of {folder.name}"
    words = [*MODEL, *more, *places(corpus, out), "--ckpt_path", str(folder), "--benchmark.out", str(results)]
    assert main(["test", *words, "--data.test_sets", f"[{', '.join(sets)}]"]) == 0
    lines = [(results / "predictions" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines() for name in sets]
    return [json.loads(line)["response"] for part in lines for line in part]


@pytest.mark.parametrize("visual", SHOWN)
def test_there_and_back_gives_the_same_responses(
    visual: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = write_their_file(tmp_path / "theirs.pth", random_weights(), SHOWN[visual])
    first, back, second = tmp_path / "first", tmp_path / "back.pth", tmp_path / "second"
    assert main(["import", str(theirs), str(first), *MODEL]) == 0
    said = capsys.readouterr().out
    assert f"Imported 46 tensors of epoch 30 to {first}; the network sees multi, audio, {visual}, text." in said
    assert said.rstrip().endswith(f"--ckpt_path {first}")
    assert main(["export", str(first), str(back), "--format", "affectgpt"]) == 0
    assert f"Exported to {back}; the authors' code loads it" in capsys.readouterr().out
    assert main(["import", str(back), str(second), *MODEL]) == 0
    answers = responses(corpus, tmp_path, first, *SEES[visual])
    assert answers == responses(corpus, tmp_path, second, *SEES[visual])
    assert len(set(answers)) > 1
    # Its weights decide: others say other things.
    other = write_their_file(tmp_path / "other.pth", random_weights(seed=1), SHOWN[visual])
    assert main(["import", str(other), str(tmp_path / "third"), *MODEL]) == 0
    assert answers != responses(corpus, tmp_path, tmp_path / "third", *SEES[visual])


def logged(run: Path, tag: str) -> float:
    """The last value of a scalar of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    return accumulator.Scalars(tag)[-1].value


@pytest.mark.parametrize("visual", SHOWN)
def test_its_loss_is_computed_and_it_answers_clips_of_ones_own(visual: str, corpus: Path, tmp_path: Path) -> None:
    """`validate` and `predict` read the imported folder; another network's weights give another loss and other answers."""
    clip = min((corpus / "mer-caption-plus" / "video").glob("*.mp4"))
    losses, answers = [], []
    for seed in (0, 1):
        theirs = write_their_file(tmp_path / f"{seed}.pth", random_weights(seed=seed), SHOWN[visual])
        folder = tmp_path / f"imported {seed}"
        assert main(["import", str(theirs), str(folder), *MODEL]) == 0
        words = [*MODEL, *SEES[visual], *places(corpus, tmp_path), "--ckpt_path", str(folder)]
        words += ["--trainer.logger.init_args.version", f"of {seed}"]
        validation = ("--data.validation_share", "0.5", "--trainer.limit_val_batches", "1.0")
        assert main(["validate", *words, *validation]) == 0
        (run,) = (tmp_path / "runs" / "tiny" / f"of {seed}" / "validate").iterdir()
        losses.append(logged(run, "val/loss"))
        out = tmp_path / f"answers of {seed}"
        assert main(["predict", *words, "--data.predict_video", str(clip), "--benchmark.out", str(out)]) == 0
        (line,) = (out / "predictions" / "own.jsonl").read_text(encoding="utf-8").splitlines()
        answers.append(json.loads(line)["response"])
    assert losses[0] != losses[1]
    assert answers[0] != answers[1]


@pytest.mark.parametrize("visual", SHOWN)
def test_training_goes_on_from_it_and_the_result_goes_back(visual: str, corpus: Path, tmp_path: Path) -> None:
    """The checkpoint decides what the network sees."""
    weights = random_weights()
    theirs = write_their_file(tmp_path / "theirs.pth", weights, SHOWN[visual])
    assert main(["import", str(theirs), str(tmp_path / "ours"), *MODEL]) == 0
    train = [*MODEL, *SEES[visual], *places(corpus, tmp_path)]
    train += ["--trainer.max_steps", "2", "--model.learning_rate", "0.001"]
    assert main(["fit", *train, "--init_from", str(tmp_path / "ours")]) == 0
    (checkpoint,) = (tmp_path / "runs").rglob("last.ckpt")
    assert read_checkpoint(checkpoint)["global_step"] == 2
    assert main(["export", str(checkpoint), str(tmp_path / "back.pth"), "--format", "affectgpt"]) == 0
    content = torch.load(tmp_path / "back.pth", weights_only=True)
    assert content["model"].keys() == weights.keys()
    assert content["config"]["datasets"]["mercaptionplus"]["face_or_frame"] == SHOWN[visual]
    moved = content["model"]["affectgpt_proj.weight"] - weights["affectgpt_proj.weight"]
    assert 0 < moved.abs().max() < 0.01


def test_what_the_import_says_to_run_is_what_runs(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = write_their_file(tmp_path / "theirs.pth", random_weights(), SHOWN["frame"])
    assert main(["import", str(theirs), str(tmp_path / "ours"), *MODEL]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert "--model.inputs '[multi, audio, frame, text]' --model.fused_streams '[frame, audio]'" in line
    assert responses(corpus, tmp_path, tmp_path / "ours", *SEES["frame"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.pth", "out", *MODEL], "There is no checkpoint gone.pth"),
        (["theirs.pth", "full", *MODEL], "is not an empty folder"),
        (["theirs.pth", "out", *MODEL, "--model.pre_fusion", "attention"], "Use the formulas of the released code"),
        (["theirs.pth", "out", *MODEL, "--model.language_model.lora_rank", "8"], "28 of another shape: llama_model."),
        (["adapter", "out", *MODEL], "an adapter has no weights for audio, face"),
        (
            ["adapter", "out", *MODEL, "--model.inputs", "[text]"],
            "--model.language_model.lora_alpha 8.0 (configured: 32",
        ),
    ],
)
def test_what_cannot_be_imported_ends_with_code_two(
    words: list[str], message: str, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_their_file(tmp_path / "theirs.pth", random_weights())
    shutil.copytree(adapter, "adapter")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main(["import", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_a_configuration_the_released_one_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its formulas are theirs, so only the sizes of a tiny file are refused."""
    check_formulas(ModelConfiguration.of(ModuleOptions(**read_configuration(_DEFAULT).model.as_dict())))
    theirs = write_their_file(tmp_path / "theirs.pth", random_weights())
    assert main(["import", str(theirs), str(tmp_path / "ours")]) == 2
    error = capsys.readouterr().err
    assert "364 missing: llama_model.base_model.model.model.layers.10." in error
    assert "affectgpt_proj.bias is [32], not [3584]" in error


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA as peft itself writes one, away from its start."""
    language_model = {"name": "tiny-lm"}
    network = AffectGPT.from_configuration(
        ModelConfiguration.resolve(**{**RELEASED, "language_model": language_model, "inputs": ["text"]})
    )
    torch.manual_seed(0)
    for parameter in network.language_model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("peft") / "adapter"
    network.language_model.network.save_pretrained(str(folder))
    return folder


def test_an_adapter_folder_of_peft_fills_a_network_of_text(adapter: Path, tmp_path: Path) -> None:
    text = ("--config", str(TINY), "--model.inputs", "[text]")
    assert main(["import", str(adapter), str(tmp_path / "ours"), *text]) == 0
    written = tmp_path / "ours" / "adapter" / "adapter_model.safetensors"
    assert written.read_bytes() == (adapter / "adapter_model.safetensors").read_bytes()
    state = AffectGPT.from_pretrained(tmp_path / "ours").trainable_state()
    assert len(state) == 28
    assert all(value.abs().sum() > 0 for value in state.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_rslora": True}, "--model.language_model.adapter rslora (configured: lora)"),
        ({"use_dora": True}, "does not describe a LoRA of peft"),
        ({"peft_type": "IA3"}, "lora and rslora are read"),
        ({"r": "four"}, "does not describe a LoRA of peft"),
    ],
)
def test_other_adapters_are_refused(
    changes: dict[str, object], message: str, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(adapter, tmp_path / "copy")
    description = json.loads((copy / "adapter_config.json").read_text(encoding="utf-8"))
    (copy / "adapter_config.json").write_text(json.dumps({**description, **changes}), encoding="utf-8")
    assert main(["import", str(copy), str(tmp_path / "ours"), "--config", str(TINY), "--model.inputs", "[text]"]) == 2
    assert message in capsys.readouterr().err
