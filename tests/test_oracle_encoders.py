"""The encoders with the released options against arrays from the authors' own wrappers: HuBERT, CLIP, ImageBind.

`pytest -k oracle` runs these and `test_oracle.py`. Sizes come from the folder's own files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import AudioEncoder
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.audio_encoders.imagebind import ImageBindAudioEncoder
from affect_lightning_plugins.audio_encoders.imagebind_network import own_name
from oracle_options import RELEASED_SPEECH, SPEECH_BACK

EXACT = 1e-6  # of HuBERT and CLIP: the arithmetic is the library's


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


@pytest.fixture
def oracle(reference: Path) -> Path:
    return reference / "oracle"


def arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.fixture
def model_folder(oracle: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A model of the folder as users have one: config.json and model.safetensors."""

    def write(kind: str) -> Path:
        from safetensors.torch import save_file

        shutil.copyfile(oracle / f"{kind}_config.json", tmp_path / "config.json")
        save_file(arrays(oracle / f"{kind}_weights.npz"), tmp_path / "model.safetensors", metadata={"format": "pt"})
        return tmp_path

    return write


def far(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


def heard_alone(encoder: AudioEncoder, case: dict[str, Tensor], name: str) -> Tensor:
    sound = case[f"wave_{name}"].reshape(1, -1)
    return encoder(sound, torch.tensor([sound.shape[1]])).tokens[0]


def heard_together(encoder: AudioEncoder, case: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    sounds = [case[f"wave_{name}"].flatten() for name in names]
    padded = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)
    return encoder(padded, torch.tensor([len(sound) for sound in sounds])).tokens


def hubert(folder: Path, **options: Any) -> AudioEncoder:
    return build_part("audio_encoders", {"name": "chinese-hubert-large", "model": str(folder), **options})


@pytest.mark.parametrize("wave", ["long", "exact", "short", "pair"])
def test_hubert_of_the_released_options(
    wave: str, oracle: Path, model_folder: Callable[[str], Path], record_property: Callable[[str, object], None]
) -> None:
    encoder, case = hubert(model_folder("hubert"), **RELEASED_SPEECH), arrays(oracle / "hubert_case.npz")
    pair = heard_together(encoder, case, ("long", "exact")) if wave == "pair" else None
    found = heard_alone(encoder, case, wave) if pair is None else pair
    distance = far(found, case[f"tokens_{wave}"])
    record_property("compared", f"HuBERT, tokens_{wave}: {distance:.1e} apart")
    assert distance < EXACT


@pytest.mark.parametrize(
    ("option", "ours", "wave"), [(option, ours, wave) for option, ours, waves in SPEECH_BACK for wave in waves]
)
def test_hubert_with_one_option_of_ours_is_another(
    option: str, ours: str, wave: str, oracle: Path, model_folder: Callable[[str], Path]
) -> None:
    encoder = hubert(model_folder("hubert"), **{**RELEASED_SPEECH, option: ours})
    case = arrays(oracle / "hubert_case.npz")
    alone = heard_together(encoder, case, ("long", "exact")) if wave == "pair" else heard_alone(encoder, case, wave)
    assert far(alone, case[f"tokens_{wave}"]) > 100 * EXACT


def test_clip(
    oracle: Path, model_folder: Callable[[str], Path], record_property: Callable[[str, object], None]
) -> None:
    case = arrays(oracle / "clip_case.npz")
    encoder = build_part("video_encoders", {"name": "clip-vit-large-patch14", "model": str(model_folder("clip"))})
    frames = case["frames"]
    found = encoder(frames, torch.ones(frames.shape[:2], dtype=torch.bool)).tokens
    distance = far(found, case["tokens"])
    record_property("compared", f"CLIP, tokens: {distance:.1e} apart")
    assert distance < EXACT


@pytest.fixture
def imagebind(oracle: Path, tmp_path: Path) -> ImageBindAudioEncoder:
    """Built as a user builds it: from a file that holds other modalities too."""
    weights = arrays(oracle / "imagebind_weights.npz")
    weights["modality_heads.vision.0.weight"] = torch.ones(3)
    torch.save(weights, tmp_path / "imagebind_huge.pth")
    heads = json.loads((oracle / "imagebind_config.json").read_text(encoding="utf-8"))["tiny"]["audio_num_heads"]
    return ImageBindAudioEncoder(model=str(tmp_path), num_heads=heads)


def test_imagebind_hears_the_same_filter_banks(
    oracle: Path, imagebind: ImageBindAudioEncoder, record_property: Callable[[str, object], None]
) -> None:
    case = arrays(oracle / "imagebind_case.npz")
    pieces = case["pieces"]
    found = imagebind.spectrograms(pieces, torch.full((len(pieces),), pieces.shape[1]))
    distance = float((found - case["mel"][0]).abs().max())
    record_property("compared", f"ImageBind, mel: {distance:.1e} apart (absolute)")
    assert distance < 1e-4


def test_imagebind_gives_the_same_outputs(
    oracle: Path, imagebind: ImageBindAudioEncoder, record_property: Callable[[str, object], None]
) -> None:
    case = arrays(oracle / "imagebind_case.npz")
    for name, found in zip(("output_0", "output_1"), imagebind.network(case["mel"][0]), strict=True):
        distance = float((found - case[name][0]).abs().max())
        record_property("compared", f"ImageBind, {name}: {distance:.1e} apart (absolute)")
        assert distance < 1e-5


def test_imagebind_from_sound_to_tokens(oracle: Path, imagebind: ImageBindAudioEncoder) -> None:
    """Each window as a clip of its own, through the encoder's door."""
    case = arrays(oracle / "imagebind_case.npz")
    pieces = case["pieces"]
    found = imagebind(pieces, torch.full((len(pieces),), pieces.shape[1]))
    assert found.tokens.shape[1] == imagebind.windows
    assert far(found.tokens[:, 0], case["output_1"][0]) < 1e-4


def test_imagebind_of_full_size_has_the_published_names_and_shapes(oracle: Path) -> None:
    published = json.loads((oracle / "imagebind_config.json").read_text(encoding="utf-8"))["full_size_audio_names"]
    with torch.device("meta"):
        network = ImageBindAudioEncoder().network
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == {own_name(name): shape for name, shape in published.items()}
    assert sum(value.numel() for value in network.state_dict().values()) == sum(
        int(np.prod(shape)) for shape in published.values()
    )
