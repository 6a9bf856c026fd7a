"""Checks of language models beside those of every network (contract: LanguageModel; paper, Eq. 1 and 2).

Neighbours: `module_checks.py`, `inputs.py`. Legend: B clips, L text tokens, E embedding width.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts.conformance import check_embeddings, check_loss, check_texts
from affect_lightning.errors import AffectLightningError
from affect_lightning.prompting import MAX_PLACEHOLDERS, placeholder
from affect_lightning.testing.comparing import require, require_equal_state, require_same
from affect_lightning.testing.inputs import PromptInputs, padded
from affect_lightning.testing.subject import Subject

_NEW_TOKENS = 5


@torch.no_grad()
def language_shapes(subject: Subject) -> str:
    """Embeddings [B, L, E], a scalar loss, blocks to shard, a tokenizer with an end token, a chat template."""
    part, inputs = subject.part, PromptInputs.of(subject.part)
    width = part.embedding_width
    require(isinstance(width, int) and width > 0, "embedding_width to be a positive int", repr(width))
    for ids in (inputs.ids, inputs.ids[0]):
        check_embeddings(part.embed(ids), ids=ids, width=width)
    loss = check_loss(part.loss(inputs.embedded(part), inputs.mask, inputs.labels))
    require(bool(torch.isfinite(loss)) and float(loss) > 0, "a positive, finite loss", f"{float(loss)}")
    for name in ("pad_token_id", "eos_token_id"):
        require(getattr(part.tokenizer, name, None) is not None, f"a tokenizer with {name}", "none")
    blocks = list(part.shardable_blocks())
    inner = {id(module) for module in part.modules()}
    require(
        blocks and all(isinstance(block, nn.Module) and id(block) in inner for block in blocks),
        "shardable_blocks to list modules of the part",
        blocks,
    )
    return f"{width} wide, {len(blocks)} blocks"


def chat_template(subject: Subject) -> None:
    """The template leaves placeholders where they are, pieces become ids without special tokens added, responses end."""
    part = subject.part
    characters = "".join(map(placeholder, (0, 1, 2, 3, MAX_PLACEHOLDERS - 1)))
    text = f'Clip: {characters}\nSays: "I won!"\nHow does the person feel?'
    rendered = part.render_prompt(text)
    require(
        isinstance(rendered, str) and text in rendered,
        "the user's text unchanged in the rendered prompt",
        repr(rendered),
    )
    ids = part.text_ids("I won!")
    require(ids and all(isinstance(one, int) and one >= 0 for one in ids), "ids, a list of ints", repr(ids)[:80])
    require(part.text_ids("I won!") == ids, "the same ids again", "others")
    response = part.response_ids("I won!")
    require(
        response[: len(ids)] == ids and len(response) > len(ids),
        f"response_ids to be the text's ids with an end token after them, {ids} and one more",
        f"{response}",
    )


@torch.no_grad()
def loss_over_clips(subject: Subject) -> None:
    """The loss is the mean over all supervised positions of the batch, whatever the order and size of the batch."""
    part, inputs = subject.part, PromptInputs.of(subject.part)
    whole = inputs.outputs(part)
    require_same(whole, inputs.picked([2, 1, 0]).outputs(part), "the order of the batch changes nothing")
    counts = (inputs.labels[:, 1:] >= 0).sum(dim=1)
    alone = torch.stack([inputs.picked([clip]).outputs(part)[0] for clip in range(3)])
    mean = (alone * counts).sum() / counts.sum()
    require_same([mean], whole, "the mean over all supervised positions")


def causality(subject: Subject) -> None:
    """A position is predicted from those before it, and only positions with a label teach."""
    part, inputs = subject.part, PromptInputs.of(subject.part).picked([0])
    embeddings = inputs.embedded(part).detach().requires_grad_()
    labels = torch.full_like(inputs.labels, -100)
    place = int((inputs.labels[0] >= 0).nonzero()[1])
    labels[0, place] = inputs.labels[0, place]
    loss = check_loss(part.loss(embeddings, inputs.mask, labels))
    loss.backward()
    assert embeddings.grad is not None
    reached = embeddings.grad[0].abs().sum(dim=1) > 0  # [L]
    require(
        reached[:place].any() and not reached[place:].any(),
        f"a gradient in positions before {place}, which is the one that is predicted, and in no later one",
        f"a gradient in the positions {reached.nonzero().flatten().tolist()}",
    )


@torch.no_grad()
def generation(subject: Subject) -> None:
    """Greedy responses are texts, the same again, the same alone and in a batch, and whatever the left padding."""
    part = subject.part
    prompts = [part.text_ids(part.render_prompt("Why? " * (index + 1))) for index in range(3)]
    ids, mask = padded(prompts, 0, left=True), padded([[1] * len(row) for row in prompts], 0, left=True)

    def respond(ids: Tensor, mask: Tensor, **options: Any) -> list[str]:
        found = part.generate(part.embed(ids), mask, max_new_tokens=_NEW_TOKENS, **options)
        return check_texts(found, count=len(ids), what="responses")

    together = respond(ids, mask)
    again = respond(ids, mask)
    require(again == together, f"the same responses again: {together}", f"{again}")
    alone = [respond(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long))[0] for row in prompts]
    require(alone == together, f"the same responses alone as in a batch: {together}", f"{alone}")
    more = torch.zeros(3, 4, dtype=torch.long)
    longer = respond(torch.cat([more, ids], dim=1), torch.cat([more, mask], dim=1))
    require(longer == together, f"the same responses with more padding on the left: {together}", f"{longer}")
    sampled = [respond(ids, mask, temperature=1.0, top_p=0.9, seed=3) for _ in range(2)]
    require(
        sampled[0] == sampled[1], f"the same responses when sampled with the same seed: {sampled[0]}", f"{sampled[1]}"
    )


def adapter_files(subject: Subject) -> str:
    """What save_adapter writes load_adapter reads into a part built anew, to the bit; an adapter cut short is an error."""
    part, other = subject.frozen_copy(), subject.build().eval()
    trained = {name for name, parameter in part.named_parameters() if parameter.requires_grad}
    with tempfile.TemporaryDirectory() as folder:
        part.save_adapter(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        if not trained:
            require(not files, "no file where there is no adapter", f"{[path.name for path in files]}")
            return "there is no adapter"
        require(
            any(path.name == "adapter_config.json" for path in files),
            "adapter_config.json",
            f"{[path.name for path in files]}",
        )
        other.load_adapter(folder)
        require_equal_state(
            {name: value for name, value in part.state_dict().items() if name in trained},
            {name: value for name, value in other.state_dict().items() if name in trained},
            "the adapter after reloading",
        )
        for path in files:
            if path.suffix == ".safetensors":
                _cut_short(path)
        try:
            other.load_adapter(folder)
        except AffectLightningError:
            return f"{len(trained)} tensors"
    require(False, "an AffectLightningError for an adapter that lacks a weight", "nothing raised")
    return ""


def _cut_short(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path)
