"""Whether a checkpoint belongs to the configuration that is to continue with it (ours).

Weights of one encoder fit another encoder of the same width without an error, and an optimiser's state has its own
learning rate. Only the stored options show such a mistake. `AffectGPTModule` asks when a Trainer restores a checkpoint.
`affect_lightning.weights` compares names and shapes of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

from torch import Tensor

from affect_lightning.contracts.pipeline_parts import OPTIONS_KEY
from affect_lightning.errors import AffectLightningError, CheckpointError
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.options import GenerationOptions, OptimisationOptions

NETWORK_PREFIX = "network."  # of every name in a checkpoint: the LightningModule's attribute
# What an optimiser's state and the order of random numbers depend on; compared only to continue training.
TRAINING_OPTIONS = (*OptimisationOptions.__dataclass_fields__, "seed")
# How a part computes, not what: may differ in a test, where no run is continued.
_ARITHMETIC = (
    *("dtype", "attn_implementation", "generation_backend", "vllm_options", "liger_kernels"),
    *("merge_adapter", "cuda_graphs"),
)
# What only a training does, or only its first step sees: a new training decides it anew.
_OF_A_TRAINING = ("stream_dropout", "projector_init_scale", "lora_dropout")
Purpose: TypeAlias = Literal["go on", "start", "use"]
# What may differ, and what to do about the rest.
_PURPOSES: dict[Purpose, tuple[tuple[str, ...], str]] = {
    "go on": ((), "Restore these values, or start a new run without --ckpt_path."),
    "start": ((*_ARITHMETIC, *_OF_A_TRAINING), "Restore these values, or start from other weights."),
    "use": (_ARITHMETIC, "Restore these values, or choose another checkpoint."),
}


def check_fits(stored: Mapping[str, Any], wanted: Mapping[str, Any], source: str, *, purpose: Purpose) -> None:
    """Compare a checkpoint's hyperparameters with those of the module.

    Args:
        stored: The checkpoint's.
        wanted: The module's.
        source: The checkpoint's path, for the message.
        purpose: `go on` with the training, which compares how it trains too; `start` a new one from the weights; or `use`
            them, in a test.

    Raises:
        CheckpointError: They differ; the message names each option with both values.
    """
    # A field that an older checkpoint does not know has its default here, or the weights' shapes tell.
    names = [name for name in ModelConfiguration.__dataclass_fields__ if name in wanted and name in stored]
    free, remedy = _PURPOSES[purpose]
    found = differences(_resolved(stored, names), _resolved(wanted, names))
    found = {name: values for name, values in found.items() if name.rpartition(".")[2] not in free}
    if purpose == "go on":
        training = [name for name in TRAINING_OPTIONS if name in stored and name in wanted]
        found |= differences({name: stored[name] for name in training}, {name: wanted[name] for name in training})
    if found:
        listed = "; ".join(f"model.{name}: {before} there, {now} here" for name, (before, now) in found.items())
        raise CheckpointError(f"The checkpoint {source} does not fit the configuration: {listed}. {remedy}")


def stored_options(checkpoint: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What changes a response beside the configuration of the network, as a training stored it.

    Args:
        checkpoint: What `read_checkpoint` gives.

    Returns:
        The sections of `ExportedFolder.options`; those that the checkpoint does not know are left out.
    """
    values = checkpoint["hyper_parameters"]
    decoding = {name: values[name] for name in GenerationOptions.__dataclass_fields__ if name in values}
    sections = {"model": decoding, **(checkpoint.get(OPTIONS_KEY) or {})}
    return {name: dict(section) for name, section in sections.items() if section}


def network_state(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's weights by the network's names."""
    return {name.removeprefix(NETWORK_PREFIX): value for name, value in state_dict.items()}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Entries that differ, nested ones by their dotted name. The same file in two folders is no difference.

    >>> differences({"a": {"name": "x", "rank": 4}, "b": 1}, {"a": {"name": "x", "rank": 8}, "b": 1})
    {'a.rank': (4, 8)}
    >>> differences({"model": "/data/Qwen"}, {"model": "/scratch/me/Qwen"})
    {}
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("name") == new.get("name"):
            found |= {f"{name}.{inner}": pair for inner, pair in differences(old, new).items()}
        elif _plain(old) != _plain(new):
            found[name] = (_short(old), _short(new))
    return found


def _resolved(values: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The model's options with the defaults of today's plugins filled in, so that a new option is no difference."""
    chosen = {name: values.get(name) for name in names}
    try:
        return ModelConfiguration.resolve(**chosen).as_dict()
    except (AffectLightningError, TypeError):
        return chosen  # made with a plugin that is not installed: its own words are compared


def _plain(value: Any) -> Any:
    if isinstance(value, str) and "/" in value and PurePath(value).is_absolute():
        return PurePath(value).name
    return list(value) if isinstance(value, tuple) else value


def _short(value: Any) -> Any:
    """A plugin's choice by its name: the options of another plugin say nothing."""
    return value["name"] if isinstance(value, Mapping) and "name" in value else value
