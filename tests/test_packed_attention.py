"""Attention of packed rows: one call of a variable-length kernel is the loop is the padded run, and no mask is built.

No kernel runs on a processor. References with the signatures of torch's versions and of flash-attn stand in for them,
so what is proven is what they are given.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from affect_lightning.contracts import RowLayout
from affect_lightning.errors import ContractError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.language_models import packed_attention, transformers_model
from affect_lightning_plugins.language_models.packed_attention import ClipBounds, flash_kernel, torch_kernel
from model_cases import perturb

CALLS: list[dict[str, Any]] = []
LENGTHS = {
    "one token": [1, 9, 1, 4],
    "equal": [7, 7, 7],
    "long": [600, 3, 41],
    "one clip": [12],
    "mixed": [5, 2, 17, 8],
}


def reference(
    query: Tensor, key: Tensor, value: Tensor, ends: Tensor, longest: int, scale: float | None, window: int | None
) -> Tensor:
    """Softmax over what each token may see, written out: [L, H, D]."""
    assert ends.dtype == torch.int32
    assert ends.device == query.device
    assert isinstance(longest, int)
    assert longest == int(ends.diff().max())
    CALLS.append({"clips": len(ends) - 1, "longest": longest, "window": window})
    clip = torch.bucketize(torch.arange(len(query)), ends[1:].long(), right=True)
    place = torch.arange(len(query))
    distance = place.unsqueeze(1) - place
    seen = (clip.unsqueeze(1) == clip) & (distance >= 0)
    if window is not None:
        seen &= distance < window
    groups = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    products = torch.einsum("lhd,mhd->hlm", query, key) * (scale or query.shape[-1] ** -0.5)
    weights = products.masked_fill(~seen, float("-inf")).softmax(dim=-1)
    return torch.einsum("hlm,mhd->lhd", weights, value)


def torch_2_10(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None):
    assert is_causal
    assert cu_seq_q is cu_seq_k
    assert max_q == max_k
    return reference(query, key, value, cu_seq_q, max_q, None, None)


def torch_2_11(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)
):
    assert window_size[1] == 0
    assert cu_seq_q is cu_seq_k
    return reference(query, key, value, cu_seq_q, max_q, scale, None if window_size[0] < 0 else window_size[0] + 1)


def torch_2_15(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False, num_splits=None
):  # fmt: skip
    assert enable_gqa == (query.shape[1] != key.shape[1])
    return torch_2_11(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale=scale, window_size=window_size)


def flash_attn_2(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, softmax_scale=None, causal=False, window_size=(-1, -1)
):  # fmt: skip
    assert causal
    assert cu_seqlens_q is cu_seqlens_k
    return reference(
        q, k, v, cu_seqlens_q, max_seqlen_q, softmax_scale, None if window_size[0] < 0 else window_size[0] + 1
    )


KERNELS = {
    "torch 2.10": torch_kernel(torch_2_10),
    "torch 2.11": torch_kernel(torch_2_11),
    "torch 2.15": torch_kernel(torch_2_15),
    "flash-attn": flash_kernel(flash_attn_2),
}


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def model(request):
    part = build_part("language_models", {"name": "tiny-lm", "architecture": request.param, "lora_dropout": 0.0})
    perturb(part)
    return part.train()


def rows(model, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, mask and labels of right-padded rows; the second half of each clip is learnt."""
    generator = torch.Generator().manual_seed(sum(lengths))
    embeddings = torch.randn(len(lengths), max(lengths), model.embedding_width, generator=generator)
    place = torch.arange(max(lengths))
    ends = torch.tensor(lengths).unsqueeze(1)
    mask = (place < ends).long()
    labels = torch.randint(3, len(model.tokenizer), mask.shape, generator=generator)
    return embeddings, mask, labels.masked_fill((place < ends // 2) | (mask == 0), -100)


def loss_and_gradients(model, embeddings, mask, labels) -> list[Tensor]:
    embeddings = embeddings.detach().requires_grad_()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    loss = model.loss(embeddings, mask, labels)
    return [loss.detach(), *torch.autograd.grad(loss, [embeddings, *weights])]


@pytest.mark.parametrize("case", LENGTHS)
def test_one_call_of_a_kernel_equals_the_loop_and_the_padded_run(model, case, monkeypatch):
    inputs = rows(model, LENGTHS[case])
    with monkeypatch.context() as padding:
        padding.setattr(model, "attends_clipwise", False)
        padding.setattr(transformers_model, "_LONGEST_MASKED_ROW", 0)
        padded = loss_and_gradients(model, *inputs)
    monkeypatch.setattr(model, "_packs", lambda *sizes, **options: True)
    ways = {"loop": loss_and_gradients(model, *inputs)}
    for name, kernel in KERNELS.items():
        monkeypatch.setattr(packed_attention, "fitting_kernel", lambda *states, kernel=kernel: kernel)
        ways[name] = loss_and_gradients(model, *inputs)
    for found in ways.values():
        for one, other in zip(found, padded, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    layers = len(model.shardable_blocks())
    wanted = {"clips": len(LENGTHS[case]), "longest": max(LENGTHS[case]), "window": None}
    assert [wanted] * layers * len(KERNELS) == CALLS


def test_a_packed_row_has_no_mask(model, monkeypatch):
    def built(*arguments, **options):
        raise AssertionError("a mask was built, or clips were searched for")

    from transformers import masking_utils

    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", built)
    masks = masking_utils.ALL_MASK_ATTENTION_FUNCTIONS._global_mapping
    monkeypatch.setitem(masks, packed_attention.CLIPWISE_ATTENTION, built)
    seen = []
    for block in model.shardable_blocks():
        block.self_attn.register_forward_pre_hook(
            lambda _module, _inputs, options: seen.append(options["attention_mask"].numel()), with_kwargs=True
        )
    model.loss(*rows(model, [9, 4, 6]))
    assert seen == [0] * len(model.shardable_blocks())


def test_a_model_that_loses_the_bounds_is_refused(model):
    states = torch.randn(1, 4, 6, 8)
    mask = packed_attention.packed_arguments(ClipBounds(torch.tensor([0, 6]), (6,)))["attention_mask"]
    with pytest.raises(ContractError, match="Set attn_implementation to eager: Qwen2Attention|LlamaAttention loses"):
        packed_attention._attend(model.shardable_blocks()[0].self_attn, states, states, states, mask)


@pytest.mark.parametrize("way", ["loop", "torch 2.10", "torch 2.15", "flash-attn"])
def test_a_window_holds_within_each_clip(way, monkeypatch):
    """torch 2.10 has no window, so there the loop stands in where a clip is longer than it."""
    lengths = (9, 3, 6)
    bounds = ClipBounds(torch.tensor([0, 9, 12, 18], dtype=torch.int32), lengths)
    query, key, value = torch.randn(1, 4, 18, 8), torch.randn(1, 2, 18, 8), torch.randn(1, 2, 18, 8)
    parts = [states[0].transpose(0, 1) for states in (query, key, value)]
    wanted = reference(*parts, bounds.cumulative, bounds.longest, 0.3, 4)
    CALLS.clear()
    if way != "loop":
        monkeypatch.setattr(packed_attention, "fitting_kernel", lambda *states: KERNELS[way])
    module = nn.Module()
    module.num_key_value_groups = 2
    for window, found in ((4, wanted), (9, reference(*parts, bounds.cumulative, bounds.longest, 0.3, None))):
        CALLS.clear()
        options = {"scaling": 0.3, "sliding_window": window, "dropout": 0.0}
        output, weights = packed_attention._attend(module, query, key, value, None, clip_bounds=bounds, **options)
        assert weights is None
        torch.testing.assert_close(output[0], found, rtol=1e-5, atol=1e-5)
        kernel_runs = way != "loop" and not (way == "torch 2.10" and window == 4)
        assert ([{"clips": 3, "longest": 9, "window": 4 if window == 4 else None}] if kernel_runs else []) == CALLS


def on_gpu(dtype: torch.dtype, width: int = 128) -> Any:
    """What the choice looks at of states on a GPU."""
    device = SimpleNamespace(type="cuda", index=0)
    return SimpleNamespace(is_cuda=True, device=device, dtype=dtype, shape=(1, 4, 6, width))


def test_device_type_and_layer_decide_about_the_kernel(monkeypatch):
    monkeypatch.setattr(packed_attention, "_new_enough", lambda device: True)
    monkeypatch.setattr(packed_attention, "installed_kernel", lambda: KERNELS["torch 2.15"])
    half, whole = on_gpu(torch.bfloat16), on_gpu(torch.float32)
    chosen = packed_attention.fitting_kernel
    plain = {"dropout": 0.0, "scaling": 0.1, "sliding_window": None, "softcap": None}
    assert chosen(half, half, plain) is KERNELS["torch 2.15"]
    assert chosen(on_gpu(torch.float16), on_gpu(torch.float16), plain) is KERNELS["torch 2.15"]
    states = torch.zeros(1, 4, 6, 8, dtype=torch.bfloat16)
    assert chosen(states, states, plain) is None  # a processor
    assert chosen(whole, whole, plain) is None
    assert chosen(whole, half, plain) is None
    with monkeypatch.context() as autocast:
        autocast.setattr(torch, "is_autocast_enabled", lambda kind: True)
        autocast.setattr(torch, "get_autocast_dtype", lambda kind: torch.bfloat16)
        assert chosen(whole, half, plain) is KERNELS["torch 2.15"]  # they are cast
    for width in (100, 512):
        assert chosen(on_gpu(torch.bfloat16, width), on_gpu(torch.bfloat16, width), plain) is None
    for options in ({"dropout": 0.1}, {"softcap": 30.0}, {"s_aux": 1.0}):
        assert chosen(half, half, {**plain, **options}) is None
    monkeypatch.setattr(packed_attention, "_new_enough", lambda device: False)
    assert chosen(half, half, plain) is None


def test_under_autocast_the_kernel_gets_its_type(monkeypatch):
    seen = []
    kernel = packed_attention.Kernel(lambda query, key, value, *_: seen.append((query.dtype, key.dtype)) or query)
    monkeypatch.setattr(packed_attention, "fitting_kernel", lambda *states: kernel)
    bounds = ClipBounds(torch.tensor([0, 6], dtype=torch.int32), (6,))
    states = torch.zeros(1, 4, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        packed_attention._attend(nn.Module(), states, states.bfloat16(), states, None, clip_bounds=bounds)
    packed_attention._attend(nn.Module(), states, states, states, None, clip_bounds=bounds)
    assert seen == [(torch.bfloat16, torch.bfloat16), (torch.float32, torch.float32)]


def test_the_installed_kernel_is_that_of_this_torch():
    kernel = packed_attention.installed_kernel()
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    assert kernel is not None
    assert kernel.windows == ("window_size" in varlen.varlen_attn.__doc__)


def test_a_layout_says_where_everything_is():
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    labels = torch.tensor([[-100, -100, 5, -100], [-100, 6, 7, 8], [-100, 9, -100, -100]])
    layout = RowLayout.of(mask, labels)
    assert layout.lengths == (3, 4, 2)
    assert layout.real.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert layout.positions.tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1]
    assert layout.cumulative.tolist() == [0, 3, 7, 9]
    assert layout.cumulative.dtype == torch.int32
    assert layout.predicting.tolist() == [1, 4, 5, 6, 8]
    assert labels.flatten()[layout.predicting + 1].tolist() == [5, 6, 7, 8, 9]
    assert layout.real[layout.predicting_packed].tolist() == layout.predicting.tolist()


@pytest.mark.parametrize("tokens", [1, 3])
def test_a_layout_behind_other_tokens_is_that_of_the_longer_rows(tokens: int) -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    labels = torch.tensor([[-100, -100, 5, -100], [-100, 6, 7, 8], [-100, 9, -100, -100]])
    found = RowLayout.of(mask, labels).behind(tokens, width=4)
    longer = RowLayout.of(
        torch.cat([torch.ones(3, tokens, dtype=torch.long), mask], dim=1),
        torch.cat([torch.full((3, tokens), -100), labels], dim=1),
    )
    assert found.lengths == longer.lengths
    for name in ("real", "positions", "cumulative", "predicting", "predicting_packed"):
        assert torch.equal(getattr(found, name), getattr(longer, name)), name
        assert getattr(found, name).dtype == getattr(longer, name).dtype


def test_a_row_mask_lets_a_token_see_itself_and_its_clip_so_far() -> None:
    mask = packed_attention.row_mask(torch.tensor([0, 1, 2, 0, 1]), torch.float32)[0, 0]
    assert set(mask.flatten().tolist()) == {0.0, torch.finfo(torch.float32).min}
    seen = [[place for place in range(5) if row[place] == 0] for row in mask]
    assert seen == [[0], [0, 1], [0, 1, 2], [3], [3, 4]]


@pytest.mark.parametrize(
    ("options", "longest", "takes"),
    [
        ({}, 40, True),
        ({"_attn_implementation": "flex_attention"}, 40, False),
        ({"sliding_window": 32}, 40, False),
        ({"sliding_window": 32}, 32, True),
        ({"sliding_window": 32, "use_sliding_window": False}, 40, True),
        ({"sliding_window": 32, "layer_types": ["full_attention", "sliding_attention"]}, 40, False),
        ({"layer_types": ["full_attention", "linear_attention"]}, 10, False),
    ],
)
def test_a_row_mask_is_for_eager_attention_that_sees_whole_clips(
    options: dict[str, Any], longest: int, takes: bool
) -> None:
    config = SimpleNamespace(**{"_attn_implementation": "eager", **options})
    assert packed_attention.takes_row_mask(config, longest) is takes
