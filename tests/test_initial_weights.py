"""The start of a training: a seed gives the same weights on every device, live or cached, and what trains stays in 32 bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.training import AffectGPTModule
from affect_lightning.training.device_execution import check_training_precision
from model_cases import TINY_PARTS

DRAWS = ("normal_", "uniform_", "bernoulli_", "exponential_", "random_")
CONSTANT = ("zeros_", "ones_", "constant_", "eye_", "dirac_")
MAKES_RANDOM = ("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial")
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "projected features are fused": {"fused_features": "projected", "pre_fusion": "qformer"},
    "dora and scaled projectors": {
        "language_model": {"name": "tiny-lm", "adapter": "dora"},
        "projector_init_scale": 1.0,
    },
    "prompt tuning": {
        "language_model": {
            "name": "tiny-lm",
            "adapter": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3, "token_dim": 32},
        }
    },
}


class PretendedAccelerator(torch.overrides.TorchFunctionMode):
    """Stands where Lightning puts `with torch.device("cuda")`: tensors that are given no device are the accelerator's.

    Attributes:
        made: How many of them there are.
        drawn: Names of the random functions that filled one, or made one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.drawn: list[str] = []
        self._storages: dict[int, torch.Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        options = kwargs or {}
        initialises = getattr(func, "__module__", "") == "torch.nn.init" and name not in CONSTANT  # hides what it calls
        filled = args[0] if args else options.get("tensor")
        is_ours = torch.is_tensor(filled) and filled.untyped_storage()._cdata in self._storages
        if (name in DRAWS or initialises) and is_ours:
            self.drawn.append(name)
        result = func(*args, **options)
        makes = name in (*MAKES_RANDOM, "empty", "zeros", "ones", "full")
        if makes and options.get("device") is None and torch.is_tensor(result):
            if name in MAKES_RANDOM:
                self.drawn.append(name)
            self.made += 1
            self._storages[result.untyped_storage()._cdata] = result
        return result


def start(**options: Any) -> AffectGPTModule:
    module = AffectGPTModule(**{**TINY_PARTS, **options})
    module.configure_model()
    return module


@pytest.mark.parametrize("case", CASES)
def test_every_initial_weight_is_drawn_on_the_processor(case: str) -> None:
    plain = start(**CASES[case]).state_dict()
    torch.rand(3)  # another state of the generator
    with PretendedAccelerator() as accelerator:
        built = start(**CASES[case]).state_dict()
    assert accelerator.drawn == []
    assert built.keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in built.items())


def test_a_draw_on_the_accelerator_would_be_seen() -> None:
    with PretendedAccelerator() as accelerator:
        torch.nn.Linear(3, 2)
        torch.randn(2)
    assert accelerator.made > 2
    assert {"kaiming_uniform_", "uniform_", "randn"} == set(accelerator.drawn)


def test_random_frozen_parts_are_drawn_on_the_processor_too() -> None:
    with PretendedAccelerator() as accelerator:
        network = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))
    assert accelerator.drawn == []
    again = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))
    for part in ("encoders", "language_model"):
        first, second = getattr(network, part).state_dict(), getattr(again, part).state_dict()
        frozen = [name for name in first if "lora" not in name]
        assert frozen
        assert all(torch.equal(first[name], second[name]) for name in frozen)


@pytest.mark.parametrize("case", CASES)
def test_cached_features_change_no_initial_weight(case: str) -> None:
    configuration = ModelConfiguration.resolve(**{**TINY_PARTS, **CASES[case]})
    starts = []
    widths = None
    for _ in range(2):
        torch.manual_seed(3)
        network = AffectGPT.from_configuration(configuration, widths)
        starts.append(network.trainable_state())
        assert bool(network.encoders) == (widths is None)
        widths = network.feature_widths
    assert starts[0].keys() == starts[1].keys()
    assert all(torch.equal(value, starts[1][name]) for name, value in starts[0].items())


def test_parts_are_where_torch_makes_tensors_although_drawn_elsewhere() -> None:
    """`meta` is the one other device that every machine has."""
    with torch.device("meta"):
        network = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_a_training_without_masters_in_32_bits_is_refused(precision: str) -> None:
    mixed = precision.replace("true", "mixed")
    trainer = Trainer(precision=precision, logger=False, enable_checkpointing=False, accelerator="cpu", max_steps=1)
    with pytest.raises(
        ConfigurationError, match=rf"^Train with trainer.precision {mixed}: with {precision} the weights"
    ):
        trainer.fit(AffectGPTModule(**TINY_PARTS), torch.utils.data.DataLoader([0]), torch.utils.data.DataLoader([0]))
    for other in ("32-true", "bf16-mixed", "16-mixed", "64-true"):
        check_training_precision(other)
