"""Several responses to each clip, and what the network thinks of each of their tokens (not in the paper).

`affectgpt.py` offers both: `answer` for several questions (`predict`), `sample` and `token_scores` to objectives that
reward sampled responses. A clip is encoded once, however many responses it gets, and its prompt is read once.
Legend: B clips, G responses a clip, K tokens of a stream, L text tokens, E embedding width, R response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from affect_lightning.contracts import ClipBatch, FeatureSequence, TokenScores
from affect_lightning.errors import ContractError
from affect_lightning.model.checked_calls import call_generate_from_prefix, call_token_scores
from affect_lightning.model.processes import sharded_parts
from affect_lightning.model.prompt_assembly import assemble_prompts, assemble_shared_prompts
from affect_lightning.weights import in_eval_mode


@torch.no_grad()
def answer_questions(
    network: Any,
    batch: ClipBatch,
    questions: Sequence[Sequence[str]],
    *,
    features: Mapping[str, FeatureSequence] | None = None,
    **options: Any,
) -> list[list[str]]:
    """Responses to several questions on every clip, in eval mode whatever the mode is.

    Args:
        network: An `AffectGPT`.
        batch: B clips; their own questions are not asked.
        questions: G of each clip, at least one; they may be alike.
        features: Encoded streams, if they are known already.
        **options: Of `LanguageModel.generate`; a list of seeds has B * G, the G of the first clip first.

    Returns:
        B lists of G texts.
    """
    with in_eval_mode(network), whole_blocks(network.language_model.shardable_blocks()):
        prompts = assemble_shared_prompts(
            network.language_model,
            inputs=network.configuration.inputs,
            names=batch.names,
            subtitles=batch.subtitles,
            questions=questions,
            features=network.project(network.encode(batch) if features is None else features),
            style=network.configuration.prompt_style,
        )
        texts = call_generate_from_prefix(
            network.language_model,
            (prompts.prefix_embeds, prompts.prefix_mask),
            (prompts.inputs_embeds, prompts.attention_mask),
            **options,
        )
    answers = iter([network.configuration.prompt_style.read_answer(text) for text in texts])
    return [[next(answers) for _ in asked] for asked in questions]


def score_tokens(
    network: Any,
    batch: ClipBatch,
    responses: Sequence[Sequence[str]],
    *,
    longest: int,
    temperature: float = 1.0,
    features: Mapping[str, FeatureSequence] | None = None,
    at_start: bool = False,
) -> TokenScores:
    """See `TrainedNetwork.token_scores` for an `AffectGPT`; eval mode, so that two calls of the same weights give the same.

    Raises:
        ContractError: The clips have unlike numbers of responses, or the weights of the start were not kept.
    """
    times = {len(own) for own in responses}
    if len(times) != 1 or len(responses) != len(batch):
        raise ContractError(
            f"token_scores needs one number of responses for each of the {len(batch)} clips; got {sorted(times)} for "
            f"{len(responses)} clips."
        )
    if at_start and network.start_weights is None:
        raise ContractError("Set `compares_with_start` of the objective: the weights of the start were not kept.")
    count = times.pop()
    started = network.start_weights.in_place(network) if at_start and network.start_weights else nullcontext()
    with started, in_eval_mode(network), torch.set_grad_enabled(torch.is_grad_enabled() and not at_start):
        projected = network.project(network.encode(batch) if features is None else features, batch.valid)
        prompts = assemble_prompts(
            network.language_model,
            inputs=network.configuration.inputs,
            names=_repeated(batch.names, count),
            subtitles=_repeated(batch.subtitles, count),
            questions=_repeated(batch.questions, count),
            features={name: tokens.repeat_interleave(count, dim=0) for name, tokens in projected.items()},
            responses=[text for own in responses for text in own],
            style=network.configuration.prompt_style,
            longest_sample=longest,
        )
        if not at_start:
            network.last_step = prompts.size
        found = call_token_scores(network.language_model, prompts.inputs_embeds, prompts.tokens, temperature)
        rows = prompts.tokens.layout.predicting.div(prompts.labels.shape[1], rounding_mode="floor")
    return TokenScores(*found, rows)


def _repeated(texts: Sequence[str], times: int) -> list[str]:
    return [text for text in texts for _ in range(times)]


@contextmanager
def whole_blocks(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Gather sharded blocks once and keep them while responses are made.

    Processes write responses of unlike length. A block that were gathered at each token would then wait for processes that
    have finished. Blocks that are not sharded are left alone.
    """
    sharded: list[Any] = sharded_parts(blocks)
    for block in sharded:
        block.set_reshard_after_forward(False, recurse=False)
        block.unshard()
    try:
        yield
    finally:
        for block in sharded:
            block.set_reshard_after_forward(True, recurse=False)
            block.reshard()
