"""Bytes that a training takes on a device and on the disk, from counts of parameters (ours).

Arithmetic, not measurement: docs/training.md has tables made with it, and says so. `test_training_sizes.py` holds it against
networks and files.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOAT32, BFLOAT16 = 4, 2
GIGABYTE = 10**9


@dataclass(frozen=True)
class ModelSizes:
    """What the sizes of a training are computed from; counts of parameters, and widths of the language model.

    Attributes:
        blocks: Frozen, in the language model's blocks.
        embeddings: Frozen, in the embeddings and the head.
        encoders: Frozen, in the encoders; 0 if features come from the cache.
        trained: Of the adapter and of the parts outside the language model.
        layers: Blocks.
        width: E.
        inner_width: Of the blocks' feed-forward part.
        key_width: Of keys and of values, over all heads.
    """

    blocks: int
    embeddings: int
    encoders: int
    trained: int
    layers: int
    width: int
    inner_width: int
    key_width: int


def exported_bytes(trained: int) -> int:
    """Of an exported folder's weights: all that trains, in 32 bits."""
    return trained * FLOAT32


def checkpoint_bytes(trained: int) -> int:
    """Of a checkpoint to continue from: weights and AdamW's two moments, in 32 bits.

    >>> checkpoint_bytes(1_000_000)
    12000000
    """
    return trained * 3 * FLOAT32


def device_bytes(sizes: ModelSizes, *, tokens: int, processes: int = 1, sharded: bool = False) -> dict[str, int]:
    """What training takes on each device, by purpose.

    Args:
        sizes: Of the model.
        tokens: In a step of one process, prompts and responses of all its clips together.
        processes: Of the run; with several machines those of one, which share the weights.
        sharded: Whether they share the weights (`fsdp`), or each has all (`ddp`, or one process).

    Returns:
        Bytes of `frozen weights` (bf16), `trained weights and moments` (32 bits: masters, gradients, two moments),
        `gathered` (whole copies of shards while they are used) and `activations` (kept for the backward pass).
    """
    parts = processes if sharded else 1
    frozen = (sizes.blocks + sizes.embeddings) // parts + sizes.encoders
    gathered = 0
    if sharded:  # the block in use and the next one, and for the whole step what is in no block
        gathered = BFLOAT16 * (2 * (sizes.blocks // sizes.layers) + sizes.embeddings + sizes.trained)
    return {
        "frozen weights": frozen * BFLOAT16,
        "trained weights and moments": 4 * FLOAT32 * sizes.trained // parts,
        "gathered": gathered,
        "activations": tokens * activation_bytes(sizes),
    }


def activation_bytes(sizes: ModelSizes) -> int:
    """What the blocks keep of one token for the backward pass, in bf16 without activation checkpointing.

    Counted on a block with LoRA and dropout on its seven projections. A frozen projection keeps no input; its adapter
    keeps the input after dropout and the mask of the dropout (3 bytes a value). Norms compute in 32 bits.
    """
    width, inner = sizes.width, sizes.inner_width
    norms = 2 * width * (BFLOAT16 + FLOAT32)
    attention = BFLOAT16 * (2 * (width + 2 * sizes.key_width) + width)  # before and after rotation, and the result
    feed_forward = BFLOAT16 * 4 * inner  # gate, its activation, up, their product
    adapter = (BFLOAT16 + 1) * (6 * width + inner)
    return sizes.layers * (norms + attention + feed_forward + adapter)
