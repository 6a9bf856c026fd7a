"""The pretrained video encoders against transformers and timm called directly. Loading: test_pretrained_loading.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import VideoEncoder
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from encoder_cases import PATCH, SIZE, WIDTH, saved_model, some_frames

SHORTEST = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}}
SQUARE = {"size": {"height": SIZE, "width": SIZE}}


def patches_of(sequence: Tensor) -> Tensor:
    return sequence[:, -((SIZE // PATCH) ** 2) :]


def resnet_map(hidden: Tensor) -> Tensor:
    return hidden.flatten(2).transpose(1, 2)


# Kind of model, plugin, the library's preprocessing class with its options, and how the library's own answer is read.
CASES: dict[str, tuple[str, str, str, dict[str, Any], Callable[[Any, Any], Tensor]]] = {
    "clip projected": (
        *("clip", "clip-vit-large-patch14", "CLIPImageProcessor", SHORTEST),
        lambda model, inputs: pooled(model.get_image_features(**inputs)),
    ),
    "clip pooled": (
        *("clip", "clip-vit-large-patch14", "CLIPImageProcessor", SHORTEST),
        lambda model, inputs: model.vision_model(**inputs).pooler_output,
    ),
    "clip patches": (
        *("clip", "clip-vit-large-patch14", "CLIPImageProcessor", SHORTEST),
        lambda model, inputs: patches_of(model.vision_model(**inputs).last_hidden_state),
    ),
    "clip-vision projected": (
        *("clip-vision", "clip-vit-large-patch14", "CLIPImageProcessor", SHORTEST),
        lambda model, inputs: model(**inputs).image_embeds,
    ),
    "siglip pooled": (
        *("siglip", "siglip", "SiglipImageProcessor", SQUARE),
        lambda model, inputs: pooled(model.get_image_features(**inputs)),
    ),
    "siglip patches": (
        *("siglip", "siglip", "SiglipImageProcessor", SQUARE),
        lambda model, inputs: model.vision_model(**inputs).last_hidden_state,
    ),
    "siglip2 pooled": (
        *("siglip2", "siglip", "Siglip2ImageProcessor", {"patch_size": PATCH, "max_num_patches": 16}),
        lambda model, inputs: pooled(model.get_image_features(**inputs)),
    ),
    "siglip2 patches": (
        *("siglip2", "siglip", "Siglip2ImageProcessor", {"patch_size": PATCH, "max_num_patches": 16}),
        lambda model, inputs: (
            model.vision_model(  # by place: the mask is named otherwise before 5.0
                inputs["pixel_values"], inputs["pixel_attention_mask"], inputs["spatial_shapes"]
            ).last_hidden_state
        ),
    ),
    "dinov2 pooled": (
        *("dinov2", "dinov2-large", "BitImageProcessor", SHORTEST),
        lambda model, inputs: model(**inputs).pooler_output,
    ),
    "dinov2-registers patches": (
        *("dinov2-registers", "dinov2-large", "BitImageProcessor", SHORTEST),
        lambda model, inputs: patches_of(model(**inputs).last_hidden_state),
    ),
    "vit pooled": (
        *("vit", "hf-image", "ViTImageProcessor", SQUARE),
        lambda model, inputs: model(**inputs).pooler_output,
    ),
    "vit-classifier pooled": (
        *("vit-classifier", "hf-image", "ViTImageProcessor", SQUARE),
        lambda model, inputs: model.vit(**inputs).last_hidden_state[:, 0],
    ),
    "vit-classifier patches": (
        *("vit-classifier", "hf-image", "ViTImageProcessor", SQUARE),
        lambda model, inputs: patches_of(model.vit(**inputs).last_hidden_state),
    ),
    "resnet pooled": (
        *("resnet", "hf-image", "ViTImageProcessor", SQUARE),
        lambda model, inputs: model(**inputs).pooler_output.flatten(1),
    ),
    "resnet patches": (
        *("resnet", "hf-image", "ViTImageProcessor", SQUARE),
        lambda model, inputs: resnet_map(model(**inputs).last_hidden_state),
    ),
    "swin pooled": (
        *("swin", "hf-image", "ViTImageProcessor", SQUARE),
        lambda model, inputs: model(**inputs).pooler_output,
    ),
    "eva projected": (
        *("eva", "eva-clip", "CLIPImageProcessor", SHORTEST),
        lambda model, inputs: model(inputs["pixel_values"]),
    ),
    "eva pooled": (
        *("eva", "eva-clip", "CLIPImageProcessor", SHORTEST),
        lambda model, inputs: model.forward_head(model.forward_features(inputs["pixel_values"]), pre_logits=True),
    ),
    "eva patches": (
        *("eva", "eva-clip", "CLIPImageProcessor", SHORTEST),
        lambda model, inputs: patches_of(model.forward_features(inputs["pixel_values"])),
    ),
}
ONE_OF_EACH = ["clip projected", "siglip2 patches", "dinov2 pooled", "vit-classifier pooled", "eva patches"]


def processor(name: str, options: dict[str, Any]) -> Any:
    import transformers

    if importlib.util.find_spec("transformers.image_processing_backends") is None:
        name += "Fast"  # before 5.0 the plain name is that of the class that resizes with Pillow
    return getattr(transformers, name)(**options)


def pooled(found: Any) -> Tensor:
    """`get_image_features` gives the vector itself before transformers 5.0."""
    return found if isinstance(found, Tensor) else found.pooler_output


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """Saved tiny models by case, each made once."""
    made: dict[str, tuple[Any, Path]] = {}
    root = tmp_path_factory.mktemp("models")

    def get(case: str) -> tuple[Any, Path]:
        kind, _, class_name, options, _ = CASES[case]
        if kind not in made:
            made[kind] = saved_model(kind, root / kind), root / kind
            processor(class_name, options).save_pretrained(root / kind)
        return made[kind]

    return get


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


def built(models: Any, case: str, **options: Any) -> VideoEncoder:
    features = case.split()[1]
    return build_part(
        "video_encoders", {"name": CASES[case][1], "model": str(models(case)[1]), "features": features, **options}
    )


@pytest.mark.parametrize("case", CASES)
def test_library_called_directly_gives_the_same_numbers(models: Any, case: str) -> None:
    """Resizing and normalisation are the library's too: its image processor makes the reference's pixels."""
    model, _ = models(case)
    _, _, class_name, options, read = CASES[case]
    frames, mask = some_frames(2, 2, height=48, width=48), torch.ones(2, 2, dtype=torch.bool)
    inputs = processor(class_name, options)(images=list(frames.flatten(0, 1)), return_tensors="pt")
    expected = read(model, dict(inputs))
    encoder = built(models, case)
    found = encoder(frames, mask)
    assert encoder.feature_width == found.width == expected.shape[-1]
    assert encoder.image_size == SIZE
    torch.testing.assert_close(found.tokens.flatten(), expected.flatten(), rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1, "a constant answer would prove nothing"
    assert found.mask.all()


@pytest.mark.parametrize("case", ONE_OF_EACH)
def test_padding_and_the_rest_of_the_batch_change_nothing(models: Any, case: str) -> None:
    encoder = built(models, case)
    frames, mask = some_frames(3, 2), torch.tensor([[True, True], [True, False], [False, False]])
    found = encoder(frames, mask)
    per_frame = found.tokens.shape[1] // 2
    assert torch.equal(found.mask, mask.repeat_interleave(per_frame, dim=1))
    assert not found.tokens[~found.mask].any()
    other = frames.clone()
    other[~mask] = 255 - other[~mask]
    torch.testing.assert_close(encoder(other, mask).tokens, found.tokens, rtol=0, atol=0)
    alone = torch.cat([encoder(frames[[clip]], mask[[clip]]).tokens for clip in range(3)])
    torch.testing.assert_close(alone, found.tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder(frames.flip(0), mask.flip(0)).tokens.flip(0), found.tokens, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ONE_OF_EACH)
def test_one_call_for_all_real_frames_of_the_batch(models: Any, case: str) -> None:
    seen: list[int] = []
    frames, mask = some_frames(3, 2), torch.tensor([[True, True], [True, False], [True, True]])
    for bound, calls in ((256, [5]), (2, [2, 2, 1])):
        encoder = built(models, case, frames_at_once=bound)
        module = next(part for part in encoder.network.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear))
        module.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
        encoder(frames, mask)
        assert seen == calls
        seen.clear()


@pytest.mark.parametrize(
    "case", ["clip patches", "siglip patches", "dinov2-registers patches", "vit-classifier patches"]
)
def test_another_picture_size_interpolates_the_positions(models: Any, case: str) -> None:
    model, _ = models(case)
    encoder = built(models, case, image_size=48)
    frames, mask = some_frames(1, 2, height=48, width=48), torch.ones(1, 2, dtype=torch.bool)
    _, _, class_name, _, _ = CASES[case]
    sized = {"size": {"height": 48, "width": 48}, "do_center_crop": False}
    inputs = dict(processor(class_name, sized)(images=list(frames[0]), return_tensors="pt"))
    if "dinov2" not in case:
        inputs["interpolate_pos_encoding"] = True
    tower = getattr(model, "vision_model", getattr(model, "vit", model))
    expected = tower(**inputs).last_hidden_state[:, -36:]
    torch.testing.assert_close(encoder(frames, mask).tokens.view_as(expected), expected, rtol=1e-4, atol=1e-4)


def test_eva_at_another_picture_size(models: Any) -> None:
    tokens = built(models, "eva patches", image_size=48)(some_frames(1, 1), torch.ones(1, 1, dtype=torch.bool)).tokens
    assert tokens.shape == (1, 36, WIDTH)


@pytest.mark.parametrize("case", ["clip projected", "siglip pooled", "siglip2 pooled", "dinov2 pooled"])
def test_published_preprocessing_without_the_file(models: Any, case: str, tmp_path: Path) -> None:
    """Against the library's class defaults, but for DINOv2, whose files say ImageNet's mean and deviation."""
    import shutil

    import transformers

    folder = shutil.copytree(models(case)[1], tmp_path / "model")
    (folder / "preprocessor_config.json").unlink()
    picture = build_part("video_encoders", {"name": CASES[case][1], "model": str(folder)}).picture
    defaults = getattr(transformers, CASES[case][2])()
    if "dinov2" in case:
        from transformers.image_utils import IMAGENET_DEFAULT_MEAN as mean
        from transformers.image_utils import IMAGENET_DEFAULT_STD as std
    else:
        mean, std = defaults.image_mean, defaults.image_std
    assert (tuple(picture.mean), tuple(picture.std)) == (tuple(mean), tuple(std))
    assert picture.interpolation == {2: "bilinear", 3: "bicubic"}[int(defaults.resample)]
    assert picture.size == SIZE


@pytest.mark.parametrize("case", ONE_OF_EACH)
def test_sixteen_bits(models: Any, case: str) -> None:
    encoder = built(models, case)
    frames, mask = some_frames(1, 2), torch.ones(1, 2, dtype=torch.bool)
    exact = encoder(frames, mask).tokens
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(frames, mask).tokens
    assert mixed.dtype == torch.float32
    halved = encoder.to(torch.bfloat16)(frames, mask).tokens
    assert halved.dtype == torch.bfloat16
    for found in (mixed, halved.float()):
        assert (found - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        ("siglip pooled", {"features": "projected"}, "SigLIP has no `features: projected`.* use `pooled`"),
        ("dinov2 pooled", {"features": "projected"}, "DINOv2 has no `features: projected`"),
        ("vit pooled", {"features": "projected"}, "hf-image has no `features: projected`.* clip-vit-large-patch14"),
        ("clip pooled", {"name": "hf-image"}, "is a clip with towers for pictures and text.* clip-vit-large-patch14"),
        ("clip pooled", {"name": "dinov2-large"}, "holds a model of the type 'clip'; this encoder takes dinov2"),
        ("vit pooled", {"name": "eva-clip"}, "has no config.json of an EVA model of timm"),
        ("clip pooled", {"image_size": 4}, "image_size 4 is smaller than one patch"),
        ("clip pooled", {"frames_at_once": 0}, "frames_at_once must be at least 1; got 0"),
    ],
)
def test_options_that_do_not_fit(models: Any, case: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        built(models, case, **options)


def test_hf_image_wants_to_be_told_the_preprocessing(tmp_path: Path) -> None:
    saved_model("vit", tmp_path)
    choice = {"name": "hf-image", "model": str(tmp_path)}
    with pytest.raises(ConfigurationError, match=r"no preprocessor_config.json, so the mean, .* are unknown"):
        build_part("video_encoders", choice)
    assert build_part("video_encoders", {**choice, "weights": "random"}).image_size == SIZE
    odd = '{"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "resample": 0}'
    (tmp_path / "preprocessor_config.json").write_text(odd, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"asks for resample 0 .*; bilinear \(2\) and bicubic \(3\)"):
        build_part("video_encoders", choice)
