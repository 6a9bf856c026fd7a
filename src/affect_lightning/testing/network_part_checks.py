"""Checks of encoders, pre-fusions, branches and language models besides those of every network (`contracts.network_parts`).

Paper: Section 3.1 (encoders), Section 3.2 with Eq. 3 to 7 (pre-fusions), Eq. 1 and 2 (language models).
`shared_checks.py` has what every network must fulfil, `inputs.py` makes the inputs.
Legend: B clips, T frames or rows, S audio samples, N feature tokens, D feature width, K fused tokens, L text tokens, E
embedding width.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts.conformance import (
    check_embeddings,
    check_features,
    check_finite,
    check_loss,
    check_texts,
)
from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.prompting import MAX_PLACEHOLDERS, placeholder
from affect_lightning.testing.inputs import PromptInputs, SoundInputs, StepInputs, StreamInputs, padded
from affect_lightning.testing.subject import Subject, require, require_equal_state, require_same


@torch.no_grad()
def video_shapes(subject: Subject) -> str:
    """Tokens [B, N, feature_width] for any number of clips, frames and pixels; N is T times a constant; finite."""
    encoder, inputs = subject.part, StepInputs.pictures()
    _require_sizes(encoder, "feature_width", "image_size")
    per_frame = set()
    for clips, frames, height, width in ((3, 4, 52, 44), (1, 1, 30, 64), (2, 3, 70, 33)):
        pictures = torch.nn.functional.interpolate(
            inputs.values[:clips, :frames].flatten(0, 1).float(), (height, width)
        )
        batch = pictures.to(torch.uint8).view(clips, frames, 3, height, width)
        found = check_features(
            encoder(batch, torch.ones(clips, frames, dtype=torch.bool)), clips=clips, width=encoder.feature_width
        )
        require(found.mask.all(), "every token real where every frame is", "masked tokens")
        check_finite(found.tokens, "tokens")
        per_frame.add(found.tokens.shape[1] / frames)
    require(
        len(per_frame) == 1 and next(iter(per_frame)).is_integer() and min(per_frame) >= 1,
        "N to be T times a constant",
        f"N / T of {sorted(per_frame)}",
    )
    _check_real_frames(subject, int(next(iter(per_frame))))
    return f"{int(next(iter(per_frame)))} tokens a frame, {encoder.feature_width} wide"


def _check_real_frames(subject: Subject, per_frame: int) -> None:
    inputs = StepInputs.pictures()
    found = subject.part(inputs.values, inputs.mask)
    wanted = inputs.mask.sum(dim=1) * per_frame
    require(
        torch.equal(found.mask.sum(dim=1), wanted),
        f"{wanted.tolist()} real tokens for {inputs.mask.sum(dim=1).tolist()} real frames",
        f"{found.mask.sum(dim=1).tolist()}",
    )
    empty = subject.part(inputs.values, torch.zeros_like(inputs.mask))
    require(not empty.mask.any(), "no real token in a clip without real frames", f"{int(empty.mask.sum())} of them")


@torch.no_grad()
def audio_shapes(subject: Subject) -> str:
    """Tokens [B, N, feature_width] for any number of clips and samples; none real for a clip of length 0; finite."""
    encoder = subject.part
    _require_sizes(encoder, "feature_width", "sample_rate")
    inputs = SoundInputs.random(encoder.sample_rate)
    lengths = inputs.lengths.clone()
    lengths[2] = 0
    for waveform, real in (
        (inputs.waveform, inputs.lengths),
        (inputs.waveform, lengths),
        (inputs.waveform[:1], lengths[:1]),
    ):
        found = check_features(encoder(waveform, real), clips=len(real), width=encoder.feature_width)
        check_finite(found.tokens[found.mask], "real tokens")
        counts = found.mask.sum(dim=1)
        require(
            bool(((counts > 0) == (real > 0)).all()),
            f"real tokens in the clips with sound, of lengths {real.tolist()}",
            f"{counts.tolist()} real tokens",
        )
    silent = encoder(torch.zeros(1, encoder.sample_rate), torch.tensor([encoder.sample_rate]))
    check_finite(silent.tokens[silent.mask], "tokens of silence")
    return f"{encoder.feature_width} wide at {encoder.sample_rate} Hz"


@torch.no_grad()
def series_shapes(subject: Subject) -> str:
    """Tokens [B, N, feature_width] for any number of clips and rows; none real in a clip without real rows; finite."""
    encoder = subject.part
    _require_sizes(encoder, "feature_width", "input_width")
    inputs = StepInputs.series(encoder.input_width)
    empty = inputs.mask.clone()
    empty[2] = False
    for values, mask in ((inputs.values, inputs.mask), (inputs.values, empty), (inputs.values[:1, :1], empty[:1, :1])):
        found = check_features(encoder(values, mask), clips=len(mask), width=encoder.feature_width)
        check_finite(found.tokens[found.mask], "real tokens")
        counts, real = found.mask.sum(dim=1), mask.any(dim=1)
        wanted = f"real tokens in the clips with real rows, {real.tolist()}"
        require(bool(((counts > 0) == real).all()), wanted, f"{counts.tolist()} real tokens")
    return f"{encoder.input_width} values a row to {encoder.feature_width}"


def _require_sizes(encoder: Any, *names: str) -> None:
    for name in names:
        value = getattr(encoder, name)
        require(isinstance(value, int) and value > 0, f"{name} to be a positive int", repr(value))


@torch.no_grad()
def fusion_shapes(subject: Subject) -> str:
    """Fused tokens [B, output_tokens, output_width], all real and finite, for one, two and three streams."""
    widths = subject.stream_widths
    remarks = []
    for streams in (widths, dict(list(widths.items())[:1]), {**widths, "frame": 20}):
        try:
            fusion = subject.build(stream_widths=streams).eval()
        except ConfigurationError as error:  # a fusion may need a certain number of streams if it says so
            require(streams is not widths, f"a part for the streams {list(streams)}", f"ConfigurationError: {error}")
            remarks.append(f"refuses {len(streams)} streams")
            continue
        _check_one(fusion, StreamInputs.random(streams))
    fusion = subject.part
    return "; ".join([f"{fusion.output_tokens} tokens, {fusion.output_width} wide", *remarks])


def _check_one(fusion: torch.nn.Module, inputs: StreamInputs) -> None:
    sizes = (fusion.output_tokens, fusion.output_width)
    require(
        all(isinstance(size, int) and size >= 0 for size in sizes) and (sizes[0] == 0) == (sizes[1] == 0),
        "output_tokens and output_width to be positive ints, or both 0",
        f"{sizes[0]!r} and {sizes[1]!r}",
    )
    for given in (inputs, inputs.picked([0]), inputs.without_tokens(2)):
        clips = len(next(iter(given.streams.values())).mask)
        found = check_features(fusion(given.streams), clips=clips, width=sizes[1], tokens=sizes[0])  # type: ignore[arg-type]
        require(found.mask.all(), "every fused token real", "masked tokens")
        check_finite(found.tokens, "fused tokens, also of a clip whose streams have no real token")


def masked_gradient(subject: Subject) -> None:
    """NaN in masked tokens reaches neither a result nor a gradient."""
    part, inputs = subject.frozen_copy(), subject.inputs()
    assert isinstance(inputs, StreamInputs)
    for stream in inputs.streams.values():
        stream.tokens[~stream.mask] = float("nan")
    found = torch.stack(inputs.outputs(part))
    check_finite(found, "tokens with NaN in masked ones")
    if found.numel() and found.requires_grad:
        found.sum().backward()
        for name, parameter in part.named_parameters():
            if parameter.grad is not None:
                check_finite(parameter.grad, f"gradient in {name} with NaN in masked tokens")


@torch.no_grad()
def branch_shapes(subject: Subject) -> str:
    """Tokens [B, K, output_width], finite, for one and, if the class allows it, three tokens a stream."""
    most = type(subject.part).most_tokens
    for count in (1,) if most == 1 else (1, 3):
        branch = subject.build(tokens=count).eval()
        require(branch.output_tokens == count, f"output_tokens to be {count}, as asked", f"{branch.output_tokens}")
        inputs = subject.inputs()
        assert isinstance(inputs, StreamInputs)
        for given in (inputs, inputs.picked([0]), inputs.without_tokens(2)):
            for values in given.outputs(branch):
                check_finite(values, "tokens, also of a clip whose stream has no real token")
    return f"{subject.part.output_width} wide"


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
    """What save_adapter writes load_adapter reads into a newly built part, to the bit; an adapter cut short is an error."""
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
