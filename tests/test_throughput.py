"""What a step costs, the meter, and ways to run the blocks that change no number."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.training.device_execution import compile_blocks, recompute_activations
from affect_lightning.training.monitoring import StepCost, StepSize, measured_peak, padding_share
from affect_lightning_plugins.language_models import packed_attention
from model_cases import TINY_PARTS, perturb, pick, random_batch


def build() -> AffectGPT:
    torch.manual_seed(0)
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))
    perturb(network)
    return network.train()


def gradients(network: AffectGPT) -> tuple[float, list[torch.Tensor]]:
    loss = network(random_batch())
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    return float(loss.detach()), [gradient.clone() for gradient in torch.autograd.grad(loss, weights)]


def test_recomputed_blocks_give_the_same_gradients_and_keep_less():
    plain, recomputed = build(), build()
    names = list(recomputed.state_dict())
    recompute_activations(recomputed.language_model.shardable_blocks())
    assert list(recomputed.state_dict()) == names
    calls = []
    block = recomputed.language_model.shardable_blocks()[0]
    block.self_attn.register_forward_pre_hook(lambda *_: calls.append(1))
    (loss, wanted), (other_loss, found) = gradients(plain), gradients(recomputed)
    assert loss == other_loss
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    assert len(calls) == 2  # forward, and again in backward
    recomputed.generate(random_batch(), max_new_tokens=2)
    assert len(calls) == 4  # a prompt and a token: nothing is computed twice


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's tracer asks for it
def test_compiled_blocks_give_the_same_gradients():
    plain, compiled = build(), build()
    compile_blocks(compiled.language_model.shardable_blocks(), "aot_eager")
    (loss, wanted), (other_loss, found) = gradients(plain), gradients(compiled)
    assert loss == pytest.approx(other_loss, rel=1e-5)
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("way", ["loop", "kernel"])
def test_another_number_of_clips_compiles_nothing(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither do other lengths: what is compiled is told of clips by tensors, and the loop stays outside of it."""
    if way == "kernel":
        kernel = packed_attention.torch_kernel(as_one_operation())
        monkeypatch.setattr(packed_attention, "fitting_kernel", lambda *states: kernel)
    graphs = []

    def counting(graph: torch.fx.GraphModule, examples: list[torch.Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    network = build()
    for block in network.language_model.shardable_blocks():
        block.compile(backend=counting, dynamic=True)
    batch = random_batch(4)
    seen = []
    for clips in ([0, 1, 2], [0, 1], [3, 2, 1, 0], [1, 3], [2, 0, 1]):
        network(pick(batch, clips)).backward()
        seen.append(len(graphs))
    assert seen[0] > 0
    assert set(seen) == {seen[0]}
    assert bool(torch._dynamo.utils.counters["graph_break"]) == (way == "loop")


def as_one_operation() -> Any:
    """A kernel as torch's compiler meets it: one operation that it does not look into."""
    from test_packed_attention import reference

    @torch.library.custom_op("affect_lightning_tests::varlen", mutates_args=())
    def operation(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: torch.Tensor, longest: int
    ) -> torch.Tensor:
        return reference(query, key, value, ends, longest, None, None).contiguous()

    @operation.register_fake
    def _(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: torch.Tensor, longest: int
    ) -> torch.Tensor:
        return torch.empty(query.shape, dtype=query.dtype)

    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        *states, ends = ctx.saved_tensors
        with torch.enable_grad():
            states = [one.detach().requires_grad_() for one in states]
            found = reference(*states, ends, ctx.longest, None, None)
        return (*torch.autograd.grad(found, states, gradient), None, None)

    def keep(ctx: Any, inputs: Any, output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs[:4])
        ctx.longest = inputs[4]

    operation.register_autograd(backward, setup_context=keep)

    def varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False):  # type: ignore[no-untyped-def]  # fmt: skip
        return operation(query, key, value, cu_seq_q, max_q)

    return varlen_attn


def test_an_unknown_backend_is_refused():
    with pytest.raises(ConfigurationError, match="compile_backend must be one of .*inductor.*got 'fast'"):
        compile_blocks([], "fast")


def test_the_cost_counts_what_torch_counts():
    """Against torch's own counter of operations, on a step with one clip: no padding, nothing twice."""
    from torch.utils.flop_counter import FlopCounterMode

    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**{**TINY_PARTS, "inputs": ["audio", "text"]}))
    network.train()
    language_model = network.language_model
    language_model.causal_model.set_attn_implementation("eager")  # torch does not count its CPU attention kernel
    language_model.attends_clipwise = False
    lengths, words = 96, len(language_model.tokenizer)
    embeddings = torch.randn(1, lengths, language_model.embedding_width, requires_grad=True)
    labels = torch.full((1, lengths), -100)
    labels[0, -20:] = 7
    with FlopCounterMode(display=False) as counter:
        language_model.loss(embeddings, torch.ones(1, lengths, dtype=torch.long), labels).backward()
    cost = StepCost.of(language_model)
    assert cost.words == words
    ours = cost.operations(StepSize((lengths,), 20))
    # Eager attention computes the half that the causal mask hides, too: 12 L^2 E a block in place of 6.
    hidden_half = 6 * cost.blocks * cost.width * lengths**2
    assert ours + hidden_half == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_padding_is_what_the_language_model_computes_for_nothing():
    language_model = build().language_model
    assert padding_share(language_model, [3, 9]) == 0.0  # packed
    language_model.attends_clipwise = False
    assert padding_share(language_model, [300, 900]) == pytest.approx(1 / 3)
    assert padding_share(language_model, [7, 7]) == 0.0
    assert padding_share(language_model, []) == 0.0


def test_measured_peak_is_a_speed_and_draws_nothing():
    state = torch.get_rng_state()
    assert measured_peak(torch.device("cpu"), torch.float32) > 0.0
    assert torch.equal(torch.get_rng_state(), state)
