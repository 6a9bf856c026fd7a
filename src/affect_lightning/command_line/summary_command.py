"""`affect-lightning summary`: the parts of a configuration, their parameters and memory, without weights (paper, Table 8).

Reads the same YAML files and options as `fit`, builds the network on the meta device and counts. `model/accounting.py`
counts; `trainer_commands.py` has the parser.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_named_files
from affect_lightning.command_line.option_names import check_option_names
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

_PROMPT_TOKENS = 128  # our choice: subtitle, question and template, with room
_RESPONSE_TOKENS = 128  # our choice: a description of about a hundred words


def run(arguments: Sequence[str]) -> int:
    """Parts, parameters and memory of a configuration, counted on the meta device without any weight."""
    parser = CommandParser(
        prog="affect-lightning summary",
        usage="affect-lightning summary --config EXPERIMENT [--config EXPERIMENT ...] [--model.OPTION VALUE ...] [--json]",
        description=run.__doc__,
        epilog="All options of `affect-lightning fit` work here too. `affect-lightning fit --help` shows them.",
        allow_abbrev=False,
        leaves_others=True,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    parser.add_argument(
        "--prompt-tokens",
        type=_positive,
        default=_PROMPT_TOKENS,
        help="tokens of a clip's prompt, with feature tokens (%(default)s)",
    )
    parser.add_argument(
        "--response-tokens", type=_positive, default=_RESPONSE_TOKENS, help="tokens of a clip's response (%(default)s)"
    )
    check_option_names(arguments, parser.names, command="summary")
    check_named_files(["summary", *arguments])
    options, words = parser.parse_known_args(arguments)
    if not words:
        raise ConfigurationError(
            "Give --config EXPERIMENT, such as `--config affectgpt`: `affect-lightning summary` needs a configuration."
        )
    with contextlib.redirect_stdout(sys.stderr):
        found = summarise(words, options.prompt_tokens, options.response_tokens)
    print_json(found) if options.json else print(summary_text(found))
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {value}")
    return value


def summarise(words: Sequence[str], prompt_tokens: int, response_tokens: int) -> dict[str, Any]:
    """Count a configuration.

    Args:
        words: Options of `affect-lightning fit`.
        prompt_tokens: Of a clip, feature tokens included.
        response_tokens: Of a clip's response.

    Returns:
        Plain values, as `--json` prints them.

    Raises:
        AffectLightningError: The configuration is wrong, or a part cannot be built without weights.
    """
    import torch

    from affect_lightning.command_line.trainer_commands import read_configuration
    from affect_lightning.model import AffectGPT
    from affect_lightning.model.accounting import part_sizes, stored_bytes, training_memory
    from affect_lightning.training import AffectGPTModule

    section = read_configuration(words)
    configuration = AffectGPTModule(**section.model.as_dict()).configuration
    with torch.device("meta"):
        network = AffectGPT.from_configuration(configuration)
    parts, (export, checkpoint) = part_sizes(network), stored_bytes(network)
    dtype = _arithmetic(str(section.trainer.precision), network)
    cached = section.data.features == "cached"
    memory = training_memory(
        network,
        clips=section.data.batch_size,
        prompt_tokens=prompt_tokens,
        response_tokens=response_tokens,
        dtype=dtype,
        cached=cached,
    )
    adapter = next((part.trainable_parameters for part in parts if part.part == "language_model"), 0)
    return {
        "total_parameters": sum(part.total_parameters for part in parts),
        "trainable_parameters": sum(part.trainable_parameters for part in parts),
        "adapter_parameters": adapter,
        "parts": [
            {
                "part": part.part,
                "class": part.kind,
                "total_parameters": part.total_parameters,
                "trainable_parameters": part.trainable_parameters,
                "adapter_parameters": adapter if part.part == "language_model" else 0,
                "bytes": part.bytes,
            }
            for part in parts
        ],
        "memory": {
            "weights_bytes": memory.weights,
            "gradients_bytes": memory.gradients,
            "optimizer_bytes": memory.optimizer,
            "activations_bytes": memory.activations,
            "total_bytes": memory.total,
        },
        "assumptions": {
            "batch_size": section.data.batch_size,
            "prompt_tokens": prompt_tokens,
            "response_tokens": response_tokens,
            "arithmetic": str(dtype).removeprefix("torch."),
            "encoders_in_memory": not cached,
        },
        "export_bytes": export,
        "checkpoint_bytes": checkpoint,
    }


def _arithmetic(precision: str, network: Any) -> torch.dtype:
    """Number type of the language model's arithmetic: the trainer's, else that of its weights."""
    import torch

    if precision.startswith("bf16"):
        return torch.bfloat16
    if precision.startswith("16"):
        return torch.float16
    return next(network.language_model.parameters()).dtype


def summary_text(found: dict[str, Any]) -> str:
    """The summary as a table of parts and lines below it."""
    rows: list[tuple[str, ...]] = [
        (
            part["part"],
            part["class"],
            f"{part['total_parameters']:,}",
            f"{part['trainable_parameters']:,}",
            f"{part['adapter_parameters']:,}",
            _size(part["bytes"]),
        )
        for part in found["parts"]
    ]
    whole = sum(part["bytes"] for part in found["parts"])
    numbers = [f"{found[f'{kind}_parameters']:,}" for kind in ("total", "trainable", "adapter")]
    rows.append(("together", "", *numbers, _size(whole)))
    table = format_table(("part", "class", "parameters", "trainable", "adapter", "size"), rows, right=(2, 3, 4, 5))
    memory, assumed = found["memory"], found["assumptions"]
    known = memory["activations_bytes"]
    lines = [
        "Memory in training (estimate, without workspaces of kernels and fragmentation):",
        f"  weights      {_size(memory['weights_bytes']):>9}"
        + ("" if assumed["encoders_in_memory"] else "  (features from the cache: without encoders)"),
        f"  gradients    {_size(memory['gradients_bytes']):>9}",
        f"  optimiser    {_size(memory['optimizer_bytes']):>9}  (AdamW's two states)",
        f"  activations  {_size(known) if known is not None else 'unknown':>9}  ({assumed['batch_size']} clips of "
        f"{assumed['prompt_tokens']} + {assumed['response_tokens']} tokens in {assumed['arithmetic']}, no checkpointing)",
        f"  together     {_size(memory['total_bytes']):>9}",
        f"Exported weights {_size(found['export_bytes'])}, checkpoint to resume from {_size(found['checkpoint_bytes'])}.",
    ]
    return "\n".join([table, "", *lines])


def _size(count: int) -> str:
    """Bytes in decimal units, as disks are sold and limits are given."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
