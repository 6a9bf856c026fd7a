"""Attention of packed rows: each clip of the row attends to itself, and no [L, L] mask exists.

The paper trains on one clip a row (Section 3.1); packing is ours. A row of 16 clips under a block-diagonal mask costs 16
times the attention of its clips. On a GPU in half precision one call of a variable-length kernel does all clips: torch's
`varlen_attn` (torch 2.10), else that of the package flash-attn if it is installed. Elsewhere (processors; 32 bits, which
these kernels do not take) a loop calls torch's attention clip by clip. transformers finds the attention by a name, so
no model class is changed.

`transformers_model.py` packs the clips of a batch.
Legend: B clips, L tokens of the row, H heads, G heads of keys and values, D width of a head.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from affect_lightning.errors import ContractError

CLIPWISE_ATTENTION = "affect_clipwise_sdpa"  # letters and underscores only: transformers reads others as a repository
_HALF = (torch.float16, torch.bfloat16)
_WIDEST_HEAD = 256  # of the flash kernels, which also want a multiple of 8
_FIRST_CAPABILITY = (8, 0)  # Ampere
# Options of a layer that only torch's own attention, or none, can honour.
_FOREIGN_OPTIONS = ("softcap", "s_aux", "position_bias")


class ClipBounds:
    """Where the clips of a packed row begin and end.

    A plain class on purpose: torch's compiler looks into it only for what the compiled code reads, the two that have
    no constant of a batch in them. So another number of clips compiles nothing anew.

    Attributes:
        cumulative: Tokens before each clip and after the last, int32 [B + 1], on the row's device.
        longest: Tokens of the longest clip.
        lengths: Tokens of each clip.
    """

    def __init__(self, cumulative: Tensor, lengths: tuple[int, ...]) -> None:
        self.cumulative = cumulative
        self.longest = max(lengths)
        self.lengths = lengths


@dataclass(frozen=True)
class Kernel:
    """Variable-length causal attention with gradient.

    Attributes:
        attend: From query [L, H, D], key and value [L, G, D], bounds, scale and window to [L, H, D]. H is a multiple of G.
            The scale is that of the products, None for D^-0.5. A token sees `window` tokens, itself the last; None for all.
        windows: Whether it takes a window.
    """

    attend: Callable[[Tensor, Tensor, Tensor, ClipBounds, float | None, int | None], Tensor]
    windows: bool = True


def use_clipwise_attention(model: Any) -> bool:
    """Let a model that attends by torch's `scaled_dot_product_attention` do so clip by clip where bounds are passed.

    Args:
        model: A transformers model.

    Returns:
        Whether the model now takes what `packed_arguments` gives; False leaves one with another attention as it is.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if model.config._attn_implementation != "sdpa":
        return False
    AttentionInterface.register(CLIPWISE_ATTENTION, _attend)
    AttentionMaskInterface.register(CLIPWISE_ATTENTION, sdpa_mask)  # of rows that are not packed
    model.set_attn_implementation(CLIPWISE_ATTENTION)
    return model.config._attn_implementation == CLIPWISE_ATTENTION


def packed_arguments(bounds: ClipBounds) -> dict[str, Any]:
    """What a model's forward takes for a packed row: the bounds, and a mask without entries.

    transformers hands a mask of four dimensions on as it is. So it builds none, and does not search the positions for
    the clips, which would wait for the device.
    """
    return {"clip_bounds": bounds, "attention_mask": bounds.cumulative.new_empty((1, 1, 0, 0))}


def takes_row_mask(config: Any, longest: int) -> bool:
    """Whether a model with another attention takes what `row_mask` gives.

    transformers finds the clips of a row in its positions, and asks the device whether there are several. `eager` takes a
    mask of ours instead, if every layer sees the whole clip.

    Args:
        config: Of the model.
        longest: Tokens of the longest clip.
    """
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    windowed = "sliding_attention" in kinds or (window is not None and getattr(config, "use_sliding_window", True))
    known = kinds <= {"full_attention", "sliding_attention"}
    return config._attn_implementation == "eager" and known and not (windowed and window and window < longest)


def row_mask(positions: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to a packed row's products [1, 1, L, L]: the least number where a token must not look.

    It looks at itself and at those before it in its clip.

    Args:
        positions: Of each token in its clip [L].
        dtype: Of the row.
    """
    place = torch.arange(len(positions), device=positions.device)
    first = place - positions  # of each token's clip
    seen = (place[None, :] <= place[:, None]) & (place[None, :] >= first[:, None])
    mask = torch.zeros(seen.shape, dtype=dtype, device=positions.device)
    return mask.masked_fill(~seen, torch.finfo(dtype).min)[None, None]


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    clip_bounds: ClipBounds | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention in the form that transformers asks for: [1, H, L, D] in, [1, L, H, D] out."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if clip_bounds is None:
        if attention_mask is not None and attention_mask.shape[-1] == 0:
            raise ContractError(
                f"Set attn_implementation to eager: {type(module).__name__} loses the argument clip_bounds on the way to its "
                f"attention, so it cannot keep the clips of a packed row apart."
            )
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    window = options.get("sliding_window")
    window = window if window is not None and window < clip_bounds.longest else None
    kernel = fitting_kernel(query, value, options)
    if kernel is None or (window is not None and not kernel.windows):
        return _attend_in_turn(module, query, key, value, clip_bounds, options), None
    query, key, value = (_in_kernel_type(states)[0].transpose(0, 1) for states in (query, key, value))
    return kernel.attend(query, key, value, clip_bounds, options.get("scaling"), window).unsqueeze(0), None


@torch.compiler.disable
def _attend_in_turn(
    module: Any, query: Tensor, key: Tensor, value: Tensor, bounds: ClipBounds, options: dict[str, Any]
) -> Tensor:
    """The loop: torch's attention for each clip [1, ., length, D], put together to [1, L, H, D]."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    pieces = []
    states = (tensor.split(bounds.lengths, dim=2) for tensor in (query, key, value))
    for clip_query, clip_key, clip_value in zip(*states, strict=True):
        mask = _window_mask(clip_query, options.get("sliding_window"))
        own = {**options, "is_causal": mask is None}
        pieces.append(sdpa_attention_forward(module, clip_query, clip_key, clip_value, mask, **own)[0])
    return torch.cat(pieces, dim=1)


def _window_mask(query: Tensor, window: int | None) -> Tensor | None:
    """Of a clip [1, H, length, D] that is longer than the layer's window: [1, 1, length, length], True where it looks."""
    length = query.shape[2]
    if window is None or length <= window:
        return None
    place = torch.arange(length, device=query.device)
    distance = place.unsqueeze(1) - place
    return ((distance >= 0) & (distance < window))[None, None]


def _in_kernel_type(states: Tensor) -> Tensor:
    """Under autocast in its type, as torch's own attention would be; its list of such calls has no kernel of ours."""
    kind = states.device.type
    return states.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else states


def fitting_kernel(query: Tensor, value: Tensor, options: dict[str, Any]) -> Kernel | None:
    """The kernel for these states; None where only the loop will do.

    Args:
        query: [1, H, L, D].
        value: [1, G, L, D].
        options: Of the layer.
    """
    if not query.is_cuda or any(options.get(name) is not None for name in _FOREIGN_OPTIONS) or options.get("dropout"):
        return None
    kind, width = query.device.type, query.shape[-1]
    dtypes = {torch.get_autocast_dtype(kind)} if torch.is_autocast_enabled(kind) else {query.dtype, value.dtype}
    wide = width > _WIDEST_HEAD or width % 8 or width != value.shape[-1]
    if wide or len(dtypes) > 1 or not dtypes <= set(_HALF) or not _new_enough(query.device.index):
        return None
    return installed_kernel()


@cache
def _new_enough(device: int | None) -> bool:
    return torch.cuda.get_device_capability(device) >= _FIRST_CAPABILITY


@cache
def installed_kernel() -> Kernel | None:
    """Torch's kernel, else that of flash-attn, else None."""
    try:
        return torch_kernel(importlib.import_module("torch.nn.attention.varlen").varlen_attn)
    except ImportError:  # torch 2.9
        from transformers.utils import is_flash_attn_2_available

        if not is_flash_attn_2_available():
            return None
        return flash_kernel(importlib.import_module("flash_attn").flash_attn_varlen_func)


def torch_kernel(attend: Callable[..., Any]) -> Kernel:
    """Torch's `varlen_attn` in one form, whatever its version calls the options.

    2.10 has `is_causal` and neither scale nor window. 2.11 has `window_size`, where (-1, 0) means causal, and `scale`.
    Since then fewer heads of keys and values must be announced by `enable_gqa`; before the kernel took them as they
    are.

    Args:
        attend: `varlen_attn`.
    """
    known = inspect.signature(attend).parameters
    windowed, scaled, grouped = (name in known for name in ("window_size", "scale", "enable_gqa"))

    def run(
        query: Tensor, key: Tensor, value: Tensor, bounds: ClipBounds, scale: float | None, window: int | None
    ) -> Tensor:
        options: dict[str, Any] = {"window_size": (-1 if window is None else window - 1, 0)}
        if not windowed:
            options = {"is_causal": True}
        if scale is not None:
            if scaled:
                options["scale"] = scale
            else:
                query = query * (scale * query.shape[-1] ** 0.5)
        if grouped:
            options["enable_gqa"] = query.shape[1] != key.shape[1]
        ends, longest = bounds.cumulative, bounds.longest
        found: Tensor = attend(query, key, value, ends, ends, longest, longest, **options)
        return found

    return Kernel(run, windows=windowed)


def flash_kernel(attend: Callable[..., Any]) -> Kernel:
    """flash-attn's `flash_attn_varlen_func` in the same form; it takes fewer heads of keys and values as they are.

    Args:
        attend: `flash_attn_varlen_func`.
    """

    def run(
        query: Tensor, key: Tensor, value: Tensor, bounds: ClipBounds, scale: float | None, window: int | None
    ) -> Tensor:
        ends, longest = bounds.cumulative, bounds.longest
        found: Tensor = attend(
            query,
            key,
            value,
            cu_seqlens_q=ends,
            cu_seqlens_k=ends,
            max_seqlen_q=longest,
            max_seqlen_k=longest,
            softmax_scale=scale,
            causal=True,
            window_size=(-1 if window is None else window - 1, 0 if window is not None else -1),
        )
        return found

    return Kernel(run)
