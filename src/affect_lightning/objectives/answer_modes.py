"""What a clip is asked in training on sampled responses, and what a wanted response to it is (not in the paper).

`names`, `description` and `reasoning` are the modes of AffectGPT-R1; `asked` leaves the question that the data module drew.
The scored part of a response is what the one cleaner of responses leaves (`prompting.cleaning`): it takes thoughts away and
keeps what stands in `<answer>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch

from affect_lightning.contracts import ClipBatch, ClipRecord, FeatureSequence, LossTerm, TrainedNetwork
from affect_lightning.prompting import question_text, response_text

AnswerMode = Literal["asked", "names", "description", "reasoning"]
REASONING = "Think about it in <think></think> first, then give the answer in <answer></answer>."


def asked_in(mode: AnswerMode, batch: ClipBatch) -> ClipBatch:
    """The batch with the questions of a mode, and with the responses that the annotation has to them.

    A clip without such an annotation has an empty response: it cannot be learnt from, but responses to it are rewarded.
    """
    if mode == "asked":
        return batch
    questions = [question_of(mode)] * len(batch)
    return replace(batch, questions=questions, responses=[wanted_in(mode, record) for record in batch.records])


def question_of(mode: AnswerMode) -> str:
    """The question of a mode other than `asked`.

    >>> question_of("names")
    'Which emotions does the person feel?'
    """
    if mode == "reasoning":
        return f"{question_text('name')} {REASONING}"
    return question_text("describe" if mode == "description" else "name")


def wanted_in(mode: AnswerMode, record: ClipRecord) -> str:
    """The response that the annotation of a clip has to the question of a mode; empty if it has none.

    >>> wanted_in("reasoning", ClipRecord("clip", "set", labels=("sad",), description="She looks down."))
    '<think>She looks down.</think><answer>The person feels sad.</answer>'
    """
    named = response_text("name", labels=record.labels, description="")
    described = response_text("describe", labels=record.labels, description=record.description)
    if mode == "names":
        return named
    if mode == "description":
        return described
    return f"<think>{described}</think><answer>{named}</answer>" if named and described else ""


def response_term(
    network: TrainedNetwork,
    batch: ClipBatch,
    mode: AnswerMode,
    features: Mapping[str, FeatureSequence] | None = None,
) -> LossTerm:
    """The response loss of a batch that `asked_in` gave; a clip whose annotation has no response is not learnt from.

    Args:
        network: Learns.
        batch: Clips with responses.
        mode: In which it was asked.
        features: Encoded streams, if they are known already.

    Raises:
        DataError: A clip has no response to the question that the data module asked.
    """
    if mode == "asked" or "" not in batch.responses:
        return network.response_loss(network.outputs(batch, features), batch.valid)
    known = torch.tensor([bool(text) for text in batch.responses]).to(batch.valid.device)
    stated = replace(batch, responses=[text or "." for text in batch.responses])  # of clips that do not count
    return network.response_loss(network.outputs(stated, features), batch.valid & known)
