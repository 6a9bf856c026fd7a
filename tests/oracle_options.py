"""Which released options the arrays of `reference/oracle` can tell from ours; those are changed back one at a time.

`test_oracle.py` and `test_oracle_encoders.py` take the tables below as their cases, so that what is listed is tested.
`test_released_options.py` checks that every option of `experiments/affectgpt_released.yaml` is in one of them.
"""

from __future__ import annotations

from typing import Any

RELEASED: dict[str, Any] = {
    "pre_fusion": "attention-released",
    "fused_streams": ["face", "audio"],
    "branch_compression": "attention-released",
    "prompt_form": "plain",
    "response_end": "###",
}
RELEASED_SPEECH: dict[str, Any] = {"normalise": "batch", "short_clips": "padded"}

# Option, our value, and the arrays that are missed with it.
NETWORK_BACK: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("pre_fusion", "attention", ("fused", "tokens_multi", "inputs_embeds", "logits", "loss")),
    ("fused_streams", ["audio", "face"], ("fused", "tokens_multi", "inputs_embeds", "logits", "loss")),
    (
        "branch_compression",
        "attention",
        ("branch_face", "branch_audio", "tokens_face", "tokens_audio", "inputs_embeds", "logits", "loss"),
    ),
)
PROMPT_BACK: dict[str, Any] = {"prompt_form": "chat", "response_end": ""}
# Of the waves: alone, and two in one batch.
SPEECH_BACK: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("normalise", "window", ("long", "exact", "pair")),
    ("short_clips", "as_they_are", ("short",)),
)
SEEN = {option for option, *_ in (*NETWORK_BACK, *SPEECH_BACK)} | {*PROMPT_BACK}
# Options of the released experiment that no array can tell, and why.
UNSEEN = {
    "shared_pictures": "the arrays have faces and no frames",
    "learning_rate_schedule": "the arrays have no training step",
    "warmup_steps": "the arrays have no training step",
    "temperature": "the arrays have no generated text",
    "top_p": "the arrays have no generated text",
    "max_new_tokens": "the arrays have no generated text",
    "frame_choice": "CLIP's arrays start at eight chosen frames",
    "frame_scaling": "CLIP's arrays start at frames of 224 pixels",
    "face_channels": "CLIP's arrays start at frames, whatever their channels are",
    "describe_share": "the arrays have no question",
    "no_words": "the arrays have no question",
}
