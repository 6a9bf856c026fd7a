"""No encoder of this project asks its device for anything: with real values, and on a GPU that is only pretended.

`device_watch.py` follows the values of a batch, `pretended_gpu.py` has none: there every question fails, and so do parts
that are on two devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import AudioEncoder, Encoder, StreamInput
from affect_lightning.model.checked_calls import call_encoder
from affect_lightning.plugin_loading import build_part
from device_watch import DeviceWatch
from encoder_cases import SIZE, saved_model, some_frames, some_sound
from pretended_gpu import PretendedGpu, devices_of, pinned_as_it_is

FORMAT = {"size": {"height": SIZE, "width": SIZE}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
HEARS = {"do_normalize": True, "sampling_rate": 16_000}
SPEECH = {"window_seconds": 0.25}
# Kind of saved model and options, by plugin; no kind: the plugin is built as it is.
FRAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "clip-vit-large-patch14": ("clip", {}),
    "clip-vit-large-patch14 patches": ("clip", {"features": "patches"}),
    "siglip": ("siglip", {}),
    "dinov2-large": ("dinov2", {"image_size": 64}),
    "hf-image": ("vit", {}),
    "eva-clip": ("eva", {}),
    "timm": ("", {"model": "test_resnet", "random": True}),
    "timm layers": ("", {"model": "test_resnet", "random": True, "feature_layers": [-1], "pool_grid": 2}),
    "efficientnet-lite0": ("", {"image_size": 64}),
    "tiny-video": ("", {}),
}
SOUND: dict[str, tuple[str, dict[str, Any]]] = {
    "chinese-hubert-large": ("hubert", SPEECH),
    "chinese-hubert-large padded": ("hubert", {**SPEECH, "short_clips": "padded", "normalise": "batch"}),
    "hubert-large": ("hubert", {"span": "clip", "features": "frames"}),
    "wavlm-large": ("wavlm", SPEECH),
    "data2vec-audio-base": ("data2vec", {"span": "clip"}),
    "wav2vec2": ("wav2vec2", {**SPEECH, "pieces_at_once": 3}),
    "wav2vec2 layer": ("wav2vec2-layer", {**SPEECH, "pieces_at_once": 3}),
    "hf-audio": ("unispeech", SPEECH),
    "whisper": ("whisper", SPEECH),
    "whisper padded": ("whisper", {**SPEECH, "short_clips": "padded"}),
    "imagebind": ("imagebind", {}),
    "prosody": ("", {}),
    "tiny-audio": ("", {}),
}
CASES = {**FRAMES, **SOUND}
# One copy of the plan; and what is constant. Whisper's second one is its filters, as with ImageBind and prosody.
MOST_COPIES = 6


def test_every_encoder_of_the_project_is_here() -> None:
    for group, cases in (("video_encoders", FRAMES), ("audio_encoders", SOUND)):
        ours = {
            entry.name
            for entry in entry_points(group=f"affect_lightning.{group}")
            if entry.value.startswith("affect_lightning_plugins.")
        }
        assert ours == {name.partition(" ")[0] for name in cases}


def built(case: str, folder: Path) -> Encoder:
    kind, options = CASES[case]
    name = case.partition(" ")[0]
    if kind:
        saved_model(kind, folder, FORMAT if case in FRAMES else HEARS)
        options = {**options, "model": str(folder)}
    encoder: Encoder = build_part("video_encoders" if case in FRAMES else "audio_encoders", {"name": name, **options})
    return encoder


def stream_of(case: str) -> StreamInput:
    """Some frames are missing, and clips are longer than their windows, shorter, and silent."""
    if case in FRAMES:
        return StreamInput(some_frames(3, 3), torch.tensor([[True] * 3, [True, True, False], [False] * 3]))
    return StreamInput.of_sound(some_sound(4, 20_000), torch.tensor([20_000, 2_345, 0, 3_001]), 16_000)


def arrived(stream: StreamInput, values: Tensor, mask: Tensor) -> StreamInput:
    """The stream on its device, as `to` would leave it: the mask on the processor stays known."""
    there = StreamInput(values, mask, stream.sample_rate)
    there._know(stream.known_mask)
    return there


@pytest.fixture
def gpu() -> Iterator[PretendedGpu]:
    with pinned_as_it_is():
        yield PretendedGpu()


@pytest.mark.parametrize("case", CASES)
def test_an_encoder_asks_nothing(case: str, tmp_path: Path, gpu: PretendedGpu) -> None:
    encoder, stream = built(case, tmp_path / "model"), stream_of(case)
    expected = call_encoder(encoder, case, stream)  # the first call looks at the values once
    there = arrived(stream, stream.values.clone(), stream.mask.clone())
    with DeviceWatch() as watch:
        watch.watch([there.values, there.mask, *encoder.parameters(), *encoder.buffers()])
        found = call_encoder(encoder, case, there)
        assert watch.found == []
        assert watch.is_watched([found.tokens])  # it was followed to the end
    assert torch.equal(found.tokens, expected.tokens)
    assert torch.equal(found.mask, expected.mask)

    gpu.put(encoder)
    there = arrived(stream, gpu.tensor(stream.values), gpu.tensor(stream.mask))
    result, copies = gpu.run(lambda: call_encoder(encoder, case, there))
    assert devices_of([result.tokens, result.mask]) == {"cuda"}
    assert (result.tokens.shape, result.tokens.dtype) == (expected.tokens.shape, expected.tokens.dtype)
    assert set(copies) == {"cpu to cuda"}, "a copy that is waited for"
    assert len(copies) <= MOST_COPIES


@pytest.mark.parametrize("case", ["tiny-video", "tiny-audio"])
def test_what_is_not_known_is_waited_for(case: str, tmp_path: Path) -> None:
    """A stream that did not come by `to`, such as one that a caller made on the device, is right and slow."""
    encoder, stream = built(case, tmp_path), stream_of(case)
    expected = call_encoder(encoder, case, stream)
    there = StreamInput(stream.values.clone(), stream.mask.clone(), stream.sample_rate)
    with DeviceWatch() as watch:
        watch.watch([there.values, there.mask])
        found = call_encoder(encoder, case, there)
    assert len(watch.found) == 1
    assert torch.equal(found.tokens, expected.tokens)


class Planless(AudioEncoder):
    """An encoder that keeps to one device, as those of others do."""

    feature_width, sample_rate = 2, 16_000

    def forward(self, waveform: Tensor, lengths: Tensor) -> Any:
        from affect_lightning.contracts import FeatureSequence

        mask = (lengths > 0)[:, None]
        level = waveform.abs().sum(dim=1) / lengths.clamp(min=1)
        return FeatureSequence(level[:, None, None].expand(-1, 1, 2).contiguous(), mask)


def test_an_encoder_that_does_not_plan_gets_both_on_one_device(gpu: PretendedGpu) -> None:
    encoder, stream = Planless(), stream_of("prosody")
    call_encoder(encoder, "audio", stream)
    there = arrived(stream, gpu.tensor(stream.values), gpu.tensor(stream.mask))
    result, copies = gpu.run(lambda: call_encoder(encoder, "audio", there))
    assert devices_of(result.tokens) == {"cuda"}
    assert copies == []
    encoder.plans_on_processor = True  # type: ignore[misc]  # it claims what it cannot do
    with pytest.raises(Exception, match="device"):
        gpu.run(lambda: call_encoder(encoder, "audio", there))


QUESTIONS = {
    "item": lambda value: value.sum().item(),
    "Boolean index": lambda value: value[value > 0],
    "tolist": lambda value: value.tolist(),
    "numpy": lambda value: value.cpu().numpy(),
}


def test_the_pretended_gpu_refuses_kernels_that_give_other_bits(gpu: PretendedGpu) -> None:
    value = gpu.tensor(torch.ones(3, 2))
    with pytest.raises(RuntimeError, match="deterministic"):
        gpu.run(lambda: value.median(dim=0))
    assert not torch.are_deterministic_algorithms_enabled()  # of this call only


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_pretended_gpu_refuses_questions(question: str, gpu: PretendedGpu) -> None:
    value = gpu.tensor(torch.ones(3))
    failed, copies = "", []
    try:
        copies = gpu.run(lambda: QUESTIONS[question](value))[1]
    except Exception as error:
        failed = type(error).__name__
    assert failed or "cuda to cpu waiting" in copies


def test_the_pretended_gpu_sees_copies_that_wait(gpu: PretendedGpu) -> None:
    assert gpu.run(lambda: torch.tensor([1.0, 2.0], device="cuda"))[1] == ["cpu to cuda waiting"]
    assert gpu.run(lambda: torch.ones(2).to("cuda"))[1] == ["cpu to cuda waiting"]
    assert gpu.run(lambda: torch.ones(2).to("cuda", non_blocking=True))[1] == ["cpu to cuda"]
