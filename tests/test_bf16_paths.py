"""`precision: null` in bf16 and in 32 bits, on every processor: a variable decides in place of its units."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from affect_lightning.command_line.program import main
from affect_lightning.command_line.trainer_commands import read_configuration
from affect_lightning.device_arithmetic import fitting_precision
from affect_lightning.errors import ConfigurationError
from step_recorder import recorded
from training_runs import words, write_corpus

VARIABLE = "AFFECT_CPU_BF16"
UNITS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
# A loss is a mean over some dozen tokens; bf16 has 8 bits of precision, and errors add up over the layers.
CLOSE = 0.03


@pytest.mark.parametrize(("avx512", "amx"), [(True, False), (False, True), (False, False)])
def test_the_processor_decides_unless_the_variable_does(
    avx512: bool, amx: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, there in zip(UNITS, (avx512, amx), strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda there=there: there)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    by_units = "bf16-mixed" if avx512 or amx else "32-true"
    for value, wanted in {"": by_units, "auto": by_units, "on": "bf16-mixed", "off": "32-true"}.items():
        monkeypatch.setenv(VARIABLE, value)
        assert fitting_precision("auto") == fitting_precision("cpu") == wanted
    monkeypatch.delenv(VARIABLE)
    assert fitting_precision("auto") == by_units


def test_a_gpu_decides_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "off")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has_bf16, wanted in ((True, "bf16-mixed"), (False, "16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has_bf16=has_bf16: has_bf16)
        assert fitting_precision("auto") == wanted
        assert fitting_precision("cpu") == "32-true"


def test_another_value_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "yes")
    with pytest.raises(ConfigurationError, match=r"^Set AFFECT_CPU_BF16 to on, off or auto; got 'yes'\.$"):
        fitting_precision("cpu")


def test_a_precision_that_is_set_stands_above_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = ["--config", str(Path(__file__).parent / "tiny.yaml")]
    for value, precision in (("off", "bf16-mixed"), ("on", "32-true")):
        monkeypatch.setenv(VARIABLE, value)
        assert read_configuration([*tiny, "--trainer.precision", precision]).trainer.precision == precision
        assert read_configuration(tiny).trainer.precision != precision


def test_a_training_in_each_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way of a step: bf16 is really computed with, and close to 32 bits; the checkpoint is tested by either."""
    clips = write_corpus(tmp_path / "corpus", clips=6)
    losses = {}
    for value, precision in (("on", "bf16-mixed"), ("off", "32-true")):
        monkeypatch.setenv(VARIABLE, value)
        out = tmp_path / value
        command = words(clips, out, "--trainer.precision", "null", "--trainer.max_steps", "3")
        assert main(command) == 0
        saved = yaml.safe_load((out / "tiny" / "v0" / "config.yaml").read_text(encoding="utf-8"))
        assert saved["trainer"]["precision"] == precision
        losses[value] = [float.fromhex(row["loss"]) for row in recorded(out)]
        checkpoint = torch.load(out / "tiny" / "v0" / "checkpoints" / "last.ckpt", weights_only=True)
        numbers = {tensor.dtype for tensor in checkpoint["state_dict"].values() if tensor.is_floating_point()}
        assert numbers == {torch.float32}  # masters stay in 32 bits
    assert len(losses["on"]) == 3
    assert losses["on"] != losses["off"]
    assert losses["on"] == pytest.approx(losses["off"], rel=CLOSE)
