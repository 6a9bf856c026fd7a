"""The authors' checkpoints: their files, their names of the weights, and where each weight stands in this network.

A file is what `torch.save` made of {model, optimizer, config, scaler, epoch}. `config` has their options, which say whether
faces or whole frames were shown. The optimiser's state is two thirds of the file: the file is mapped into memory, so that
this part is never read.
Their saver keeps what trains: the adapter of the language model by the network's own names, and twenty more tensors. They
fit only a network with the formulas of the released code, which its configuration tells. Face and frame share one set of
weights there. Light-MER builds on the same code and keeps the same names (docs/released.md).
`importing.py` and `exporting.py` use this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affect_lightning.checkpoints.reading import read_plain
from affect_lightning.errors import CheckpointError
from affect_lightning.model import ModelConfiguration
from affect_lightning.storage import write_whole
from affect_lightning.weights import WeightDifferences, compare_weights, shortened

VISUAL_STREAMS = ("face", "frame")
_SHOWN_ALWAYS = {"multi", "audio"}
_ADAPTER, _OUR_ADAPTER = "llama_model.", "language_model.network."
_WRAPPED = "module."  # before every name, where a training on several devices was saved as it stood
# Layers that no answer uses: the one for single images, and what only Light-MER's distillation trains.
_UNUSED = ("image_llama_proj.", "ot_hidden_proj.")
# Their layers beside the language model, and ours; VISUAL stands for face or frame.
_LAYERS = {
    "video_attention_mlp": "branches.VISUAL.scoring",
    "affectgpt_proj": "projectors.VISUAL",
    "audio_attention_mlp": "branches.audio.scoring",
    "audio_llama_proj": "projectors.audio",
    "multi_audio_embs": "pre_fusion.projections.audio",
    "multi_video_embs": "pre_fusion.projections.FUSED",
    "attention_mlp": "pre_fusion.mixing",
    "fc_att": "pre_fusion.weighing",
    "multi_llama_proj": "projectors.multi",
}
# What decides what the weights mean, and no name or shape of theirs tells.
_FORMULAS: dict[str, Any] = {
    "pre_fusion.name": "attention-released",
    "branch_compression.name": "attention-released",
    "branch_tokens": 1,
    "feature_norm": "none",
    "fused_features": "encoded",
    "language_model.adapter": "lora",
    "language_model.lora_alpha": 32,
    "language_model.lora_target_modules": None,  # the seven projections
    "prompt_form": "plain",
    "response_end": "###",
}
_REMEDY = "Choose the language model, encoders and lora_rank that they were trained with (`--model.language_model` and so on)."


def shown_visual(configuration: ModelConfiguration) -> tuple[str, ...]:
    """Which of face and frame the prompt shows."""
    return tuple(name for name in VISUAL_STREAMS if name in configuration.inputs)


def showing(configuration: ModelConfiguration, visual: tuple[str, ...]) -> ModelConfiguration:
    """The configuration with these visual streams in the place of its own, in the prompt and, the first, in the pre-fusion."""
    inputs: list[str] = []
    for name in configuration.inputs:
        inputs += [name] if name not in VISUAL_STREAMS else [new for new in visual if new not in inputs]
    fused = tuple(visual[0] if name in VISUAL_STREAMS else name for name in configuration.fused_streams)
    return replace(configuration, inputs=tuple(inputs), fused_streams=fused)


def check_formulas(configuration: ModelConfiguration) -> None:
    """Refuse a network that computes something else with their weights, or has no place for some of them.

    Raises:
        CheckpointError: The message names each option with both values.
    """
    values = configuration.as_dict()
    found = {name: _value(values, name) for name in _FORMULAS}
    wrong = [
        f"model.{name} is {found[name]!r}, not {wanted!r}"
        for name, wanted in _FORMULAS.items()
        if found[name] != wanted
    ]
    shown = shown_visual(configuration)
    inputs = set(configuration.inputs)
    if not shown or not _SHOWN_ALWAYS <= inputs <= {*_SHOWN_ALWAYS, *VISUAL_STREAMS, "text"}:
        wrong.append(f"model.inputs is {list(configuration.inputs)}, not multi, audio, text and face or frame")
    fused = list(configuration.fused_streams)
    if fused not in [[name, "audio"] for name in shown or VISUAL_STREAMS]:
        wrong.append(f"model.fused_streams is {fused}, not {[(shown or VISUAL_STREAMS)[0], 'audio']} in this order")
    if wrong:
        raise CheckpointError(
            f"Use the formulas of the released code (`--config affectgpt --config affectgpt_released`): with the given "
            f"configuration the authors' weights would mean something else. {'; '.join(wrong)}."
        )


def our_weights(
    stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor], configuration: ModelConfiguration, source: str
) -> dict[str, Tensor]:
    """Their weights by our names, in float32.

    Args:
        stored: By their names; what no answer uses is left out.
        wanted: What trains of the network, by our names; a name of theirs may stand for several.
        configuration: Of the network.
        source: Where they come from, for the message.

    Raises:
        CheckpointError: The configuration has other formulas; a weight is missing, surplus, of another shape, or has values
            that are no numbers. The message has their names.
    """
    check_formulas(configuration)
    names = {ours: _their_name(ours, _their_layers(configuration)) for ours in wanted}
    used = {name: value for name, value in stored.items() if not name.startswith(_UNUSED)}
    expected = {names[ours]: value for ours, value in wanted.items()}
    compare_weights(used, expected).refuse(source, "the configured network", _REMEDY)
    whole = sorted(f"{name} ({str(v.dtype)[6:]})" for name, v in used.items() if not v.is_floating_point())
    if whole:
        raise CheckpointError(
            f"Give the checkpoint as it was trained, not a quantised or converted one: {source} must have floating-point "
            f"weights, but not so in {shortened(whole)}."
        )
    broken = sorted(name for name, value in used.items() if not value.isfinite().all())
    if broken:
        raise CheckpointError(
            f"Take another checkpoint: {source} has values that are no finite numbers in {shortened(broken)}."
        )
    return {ours: used[theirs].float() for ours, theirs in names.items()}


def their_weights(state: Mapping[str, Tensor], configuration: ModelConfiguration, source: str) -> dict[str, Tensor]:
    """Our weights by their names, in float32 and complete: the layer for single images, which nothing uses, is zero.

    Args:
        state: What trains of a network, by our names.
        configuration: Of the network.
        source: Where they come from, for the message.

    Raises:
        CheckpointError: The configuration has other formulas, a weight is missing or has no place in their layout, or face
            and frame have learnt different weights.
    """
    check_formulas(configuration)
    layers = _their_layers(configuration)
    found: dict[str, Tensor] = {}
    for ours, value in state.items():
        name = _their_name(ours, layers)
        if name in found and not torch.equal(found[name], value):
            raise CheckpointError(
                f"Train with `--model.shared_pictures true` to export face and frame: their layout has one {name}, and "
                f"here {ours} differs from that of the other stream."
            )
        found[name] = value.detach().float().contiguous()
    beside = {name for name in found if not name.startswith(_ADAPTER)}
    wanted = {f"{layer}.{kind}" for layer in _LAYERS for kind in ("weight", "bias")}
    WeightDifferences.of(missing=wanted - beside, surplus=beside - wanted, reshaped=()).refuse(
        source, "the authors' layout", "Export the checkpoint of a whole network."
    )
    width, visual = found["affectgpt_proj.weight"].shape
    return found | {"image_llama_proj.weight": torch.zeros(width, visual), "image_llama_proj.bias": torch.zeros(width)}


def _their_layers(configuration: ModelConfiguration) -> dict[str, str]:
    """Their layer by ours; face and frame may have a branch each."""
    fused = configuration.fused_streams[0]
    return {
        ours.replace("VISUAL", configuration.branch_key(stream)).replace("FUSED", fused): theirs
        for theirs, ours in _LAYERS.items()
        for stream in shown_visual(configuration)
    }


def _their_name(ours: str, layers: Mapping[str, str]) -> str:
    """Their name of a weight; ours where they have none, so that a comparison names it."""
    if ours.startswith(_OUR_ADAPTER):
        return _ADAPTER + ours.removeprefix(_OUR_ADAPTER)
    layer, _, kind = ours.rpartition(".")
    return f"{layers[layer]}.{kind}" if layer in layers else ours


def _value(values: Mapping[str, Any], name: str) -> Any:
    part, _, option = name.partition(".")
    return values[part].get(option) if option else values[part]


# Their names of what the prompt shows, by the visual streams; they stand in their options.
_SHOWN = {
    ("face",): "multiface_audio_face_text",
    ("frame",): "multiframe_audio_frame_text",
    ("face", "frame"): "multiface_audio_face_frame_text",
}


@dataclass(frozen=True)
class AffectGPTFile:
    """What is of use in a file of theirs.

    Attributes:
        weights: By their names.
        visual: Which of `face` and `frame` the training showed; None if the file does not say.
        epoch: None if the file does not say.
    """

    weights: Mapping[str, Tensor]
    visual: tuple[str, ...] | None
    epoch: int | None


def read_affectgpt(path: str | Path) -> AffectGPTFile:
    """Read a checkpoint of the authors' code; nothing in it is executed.

    Raises:
        CheckpointError: No such file, damaged, pickled objects inside, or another program's.
    """
    content = read_plain(path, "a checkpoint of AffectGPT's released code", mapped=True)
    if isinstance(content, Mapping) and {"state_dict", "hyper_parameters"} <= content.keys():
        raise CheckpointError(
            f"Use `affect-lightning export {path} FOLDER`: it is a checkpoint of this package, and `import` reads those of "
            f"the authors' code."
        )
    weights = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(map(_is_weight, weights, weights.values())):
        entries = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else ""
        found = f"the entries {entries}" if entries else "something else"
        raise CheckpointError(
            f"{path} is not a checkpoint of AffectGPT's released code: expected the entry `model` with dense tensors by name, "
            f"got {found}."
        )
    if weights and all(name.startswith(_WRAPPED) for name in weights):
        weights = {name.removeprefix(_WRAPPED): value for name, value in weights.items()}
    epoch = content.get("epoch")
    return AffectGPTFile(weights, _shown_streams(content.get("config")), epoch if isinstance(epoch, int) else None)


def _is_weight(name: Any, value: Any) -> bool:
    """Whether this is a name with a dense tensor; the authors' code saves no others."""
    return (
        isinstance(name, str) and isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized
    )


def write_affectgpt(path: str | Path, weights: Mapping[str, Tensor], visual: tuple[str, ...]) -> None:
    """Write a file that the authors' code loads for inference: the weights, and the options that this package reads.

    Args:
        path: To be made; must not exist.
        weights: By their names.
        visual: Which of `face` and `frame` the network is shown.

    Raises:
        CheckpointError: It exists or cannot be written.
    """
    if Path(path).exists():
        raise CheckpointError(f"{path} exists. Choose another file to export to.")
    content = {"model": dict(weights), "config": {"datasets": {"mercaptionplus": {"face_or_frame": _SHOWN[visual]}}}}
    try:
        write_whole(Path(path), lambda file: torch.save(content, file))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error}. Make room, or choose another file.") from error


def _shown_streams(config: Any) -> tuple[str, ...] | None:
    """The visual streams that the options of a file name, if all its training sets name the same."""
    sets = config.get("datasets") if isinstance(config, Mapping) else None
    options = sets.values() if isinstance(sets, Mapping) else ()
    shown = {str(option.get("face_or_frame")) for option in options if isinstance(option, Mapping)}
    return next((streams for streams, name in _SHOWN.items() if shown == {name}), None)
