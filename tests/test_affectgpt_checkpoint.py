"""The authors' checkpoints: read, mapped weight by weight, refused by name, and written back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.checkpoints import export_affectgpt, import_weights
from affect_lightning.checkpoints.affectgpt_layout import our_weights, read_affectgpt, showing, their_weights
from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import CheckpointError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affectgpt_files import RELEASED, random_weights, their_shapes, write_their_file

# Where every weight beside the adapter goes, by hand: theirs, ours for a checkpoint of faces.
PLACES = {
    "affectgpt_proj": "projectors.face",
    "audio_llama_proj": "projectors.audio",
    "multi_llama_proj": "projectors.multi",
    "video_attention_mlp": "branches.face.scoring",
    "audio_attention_mlp": "branches.audio.scoring",
    "multi_video_embs": "pre_fusion.projections.face",
    "multi_audio_embs": "pre_fusion.projections.audio",
    "attention_mlp": "pre_fusion.mixing",
    "fc_att": "pre_fusion.weighing",
}


def released(**changes: Any) -> ModelConfiguration:
    return ModelConfiguration.resolve(**{**RELEASED, **changes})


def empty_network(configuration: ModelConfiguration) -> AffectGPT:
    with torch.device("meta"):
        return AffectGPT.from_configuration(configuration)


@pytest.mark.parametrize("visual", ["face", "frame"])
def test_every_weight_comes_to_its_place(visual: str, tmp_path: Path) -> None:
    weights = random_weights()
    file = write_their_file(tmp_path / "theirs.pth", weights, f"multi{visual}_audio_{visual}_text")
    found = import_weights(file, tmp_path / "ours", released())
    assert (found.tensors, found.epoch) == (46, 30)
    network = AffectGPT.from_pretrained(tmp_path / "ours")
    assert network.configuration.inputs == ("multi", "audio", visual, "text")
    assert network.configuration.fused_streams == (visual, "audio")
    state = network.trainable_state()
    assert len(state) == 46
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        if layer in PLACES:
            ours = f"{PLACES[layer].replace('face', visual)}.{kind}"
        elif layer != "image_llama_proj":
            ours = name.replace("llama_model.", "language_model.network.", 1)
        else:
            continue
        assert torch.equal(state.pop(ours), value)
    assert not state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("fc_att.bias"), r"1 missing: fc_att\.bias\."),
        (lambda w: w.update({"video_Qformer.cls": torch.ones(2)}), r"1 surplus: video_Qformer\.cls\."),
        (
            lambda w: w.update({"affectgpt_proj.weight": torch.ones(32, 25)}),
            r"1 of another shape: affectgpt_proj\.weight is \[32, 25\], not \[32, 24\]\.",
        ),
        (
            lambda w: w["multi_llama_proj.bias"].fill_(float("nan")),
            r"values that are no finite numbers in multi_llama_proj\.bias\.",
        ),
        (
            lambda w: w.update({"fc_att.bias": torch.ones(2, dtype=torch.long)}),
            r"^Give the checkpoint as it was trained, .* floating-point weights, but not so in fc_att\.bias \(int64\)\.",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(change: Any, message: str, tmp_path: Path) -> None:
    weights = random_weights()
    change(weights)
    file = write_their_file(tmp_path / "theirs.pth", weights)
    with pytest.raises(CheckpointError, match=message):
        import_weights(file, tmp_path / "ours", released())
    assert not (tmp_path / "ours").exists()


def test_unused_layers_may_be_there_or_not(tmp_path: Path) -> None:
    weights = {name: value for name, value in random_weights().items() if not name.startswith("image_")}
    weights["ot_hidden_proj.student_proj.weight"] = torch.ones(3, 3)  # of Light-MER's distillation
    file = write_their_file(tmp_path / "theirs.pth", weights)
    assert import_weights(file, tmp_path / "ours", released()).tensors == 46


def test_weights_of_half_precision_become_whole(tmp_path: Path) -> None:
    file = write_their_file(tmp_path / "theirs.pth", {name: value.half() for name, value in random_weights().items()})
    import_weights(file, tmp_path / "ours", released())
    assert {value.dtype for value in AffectGPT.from_pretrained(tmp_path / "ours").trainable_state().values()} == {
        torch.float32
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pre_fusion": "attention"}, "model.pre_fusion.name is 'attention', not 'attention-released'"),
        ({"branch_compression": "mean"}, "model.branch_compression.name is 'mean', not 'attention-released'"),
        ({"branch_tokens": 2}, "model.branch_tokens is 2, not 1"),
        ({"feature_norm": "layer"}, "model.feature_norm is 'layer', not 'none'"),
        (
            {"prompt_form": "chat", "response_end": ""},
            "prompt_form is 'chat', not 'plain'; model.response_end is '', not '###'",
        ),
        ({"fused_features": "projected"}, "model.fused_features is 'projected', not 'encoded'"),
        (
            {"fused_streams": ["audio", "face"]},
            r"model.fused_streams is \['audio', 'face'\], not \['face', 'audio'\] in this",
        ),
        (
            {"inputs": ["audio", "text"]},
            r"model.inputs is \['audio', 'text'\], not multi, audio, text and face or frame",
        ),
        ({"language_model": {"name": "tiny-lm"}}, "model.language_model.lora_alpha is 8.0, not 32"),
        (
            {"language_model": {"name": "tiny-lm", "lora_alpha": 32, "adapter": "rslora"}},
            "adapter is 'rslora', not 'lora'",
        ),
    ],
)
def test_other_formulas_are_refused_both_ways(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    configuration = released(**change)
    file = write_their_file(tmp_path / "theirs.pth", random_weights())
    with pytest.raises(CheckpointError, match=message):
        import_weights(file, tmp_path / "ours", configuration)
    with pytest.raises(CheckpointError, match=message):
        their_weights({}, configuration, "ours")


class Evil:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("owned"), "yes"))


@pytest.mark.parametrize("place", ["config", "optimizer", "model"])
def test_nothing_of_a_file_is_executed(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_their_file(tmp_path / "evil.pth", random_weights(), **{place: {"planted": Evil()}})
    with pytest.raises(CheckpointError, match="it holds the pickled object .*never pickled objects") as caught:
        import_weights(file, tmp_path / "ours", released())
    assert "weights_only" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["evil.pth"]


def test_files_of_others_are_called_what_they_are(tmp_path: Path) -> None:
    for name, content, message in (
        ("own.ckpt", {"state_dict": {}, "hyper_parameters": {}}, "Use `affect-lightning export .*own.ckpt FOLDER`"),
        (
            "bare.pth",
            random_weights(),
            "expected the entry `model` with dense tensors by name, got the entries llama_model",
        ),
        ("list.pth", [1, 2], "expected the entry `model` with dense tensors by name, got something else"),
        ("text.pth", {"model": {"weight": "none"}}, "expected the entry `model` with dense tensors by name"),
        ("empty.pth", {}, "with dense tensors by name, got something else"),
        ("number.pth", {"model": {5: torch.zeros(1)}}, "with dense tensors by name"),
        ("sparse.pth", {"model": {"weight": torch.zeros(2).to_sparse()}}, "with dense tensors by name"),
    ):
        torch.save(content, tmp_path / name)
        with pytest.raises(CheckpointError, match=message):
            read_affectgpt(tmp_path / name)
    with pytest.raises(CheckpointError, match="Give the file: .* is a folder"):
        read_affectgpt(tmp_path)
    (tmp_path / "page.pth").write_text("<html>not found</html>", encoding="utf-8")
    whole = write_their_file(tmp_path / "whole.pth", random_weights()).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    for name, message in (
        ("page.pth", "is a web page, not the file itself. Download it again"),
        ("cut.pth", rf"^Copy or export .*cut.pth again: it is cut. It has {middle:,} bytes, and its end .* is missing"),
    ):
        with pytest.raises(CheckpointError, match=f"{message}.*Expected a checkpoint of AffectGPT's released code"):
            read_affectgpt(tmp_path / name)
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        read_affectgpt(tmp_path / "gone.pth")


def test_names_of_a_training_on_several_devices_lose_their_prefix(tmp_path: Path) -> None:
    weights = random_weights()
    torch.save({"model": {f"module.{name}": value for name, value in weights.items()}}, tmp_path / "wrapped.pth")
    assert read_affectgpt(tmp_path / "wrapped.pth").weights.keys() == weights.keys()


def test_files_of_the_older_form_and_without_options_are_read(tmp_path: Path) -> None:
    weights = random_weights()
    torch.save({"model": weights}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    found = read_affectgpt(tmp_path / "old.pth")
    assert (found.visual, found.epoch) == (None, None)
    assert all(torch.equal(found.weights[name], value) for name, value in weights.items())


def test_face_and_frame_take_each_others_place() -> None:
    before = released()
    assert showing(before, ("face",)) == before
    after = showing(before, ("frame",))
    assert (after.inputs, after.fused_streams) == (("multi", "audio", "frame", "text"), ("frame", "audio"))
    assert showing(after, ("face",)) == before
    both = showing(after, ("face", "frame"))
    assert (both.inputs, both.fused_streams) == (("multi", "audio", "face", "frame", "text"), ("face", "audio"))
    assert showing(both, ("frame",)) == after


@pytest.mark.parametrize("source", ["folder", "checkpoint"])
def test_the_way_back_gives_their_names_shapes_and_values(source: str, tmp_path: Path) -> None:
    weights = random_weights()
    import_weights(write_their_file(tmp_path / "theirs.pth", weights), tmp_path / "ours", released())
    if source == "checkpoint":
        network = AffectGPT.from_pretrained(tmp_path / "ours")
        state = {f"network.{name}": value for name, value in network.trainable_state().items()}
        torch.save({"state_dict": state, "hyper_parameters": network.configuration.as_dict()}, tmp_path / "ours.ckpt")
    out = export_affectgpt(tmp_path / ("ours" if source == "folder" else "ours.ckpt"), tmp_path / "back.pth")
    content = torch.load(out, weights_only=True)
    assert {name: tuple(value.shape) for name, value in content["model"].items()} == their_shapes()
    assert {value.dtype for value in content["model"].values()} == {torch.float32}
    for name, value in content["model"].items():
        assert torch.equal(value, torch.zeros_like(value) if name.startswith("image_") else weights[name])
    assert content["config"]["datasets"]["mercaptionplus"]["face_or_frame"] == "multiface_audio_face_text"
    import_weights(out, tmp_path / "again", released())
    for name in ("projectors.safetensors", "adapter/adapter_model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()
    with pytest.raises(CheckpointError, match="exists. Choose another file"):
        export_affectgpt(tmp_path / "ours", out)


def test_face_and_frame_have_one_set_of_weights_there() -> None:
    both = released(inputs=["multi", "audio", "face", "frame", "text"])
    weights = random_weights()
    state = our_weights(weights, empty_network(both).trainable_state(), both, "theirs")
    for part in ("projectors.{}.weight", "projectors.{}.bias", "branches.{}.scoring.weight"):
        assert torch.equal(state[part.format("face")], state[part.format("frame")])
    back = their_weights(state, both, "ours")
    assert all(torch.equal(back[name], value) for name, value in weights.items() if not name.startswith("image_"))
    shared = released(inputs=["multi", "audio", "face", "frame", "text"], shared_pictures=True)
    state = our_weights(weights, empty_network(shared).trainable_state(), shared, "theirs")
    assert len(state) == 46
    assert all(torch.equal(back[name], value) for name, value in their_weights(state, shared, "ours").items())
    state = our_weights(weights, empty_network(both).trainable_state(), both, "theirs")
    cut = {name: value for name, value in state.items() if name != "pre_fusion.mixing.bias"}
    with pytest.raises(
        CheckpointError, match=r"of ours do not fill the authors' layout exactly. 1 missing: attention_mlp.bias"
    ):
        their_weights(cut, both, "ours")
    more = {**state, "branches.pose.scoring.bias": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"1 surplus: branches\.pose\.scoring\.bias"):
        their_weights(more, both, "ours")
    state["projectors.frame.bias"] = state["projectors.frame.bias"] + 1
    with pytest.raises(CheckpointError, match="Train with `--model.shared_pictures true` .* one affectgpt_proj.bias"):
        their_weights(state, both, "ours")


@pytest.mark.parametrize("visual", ["face", "frame"])
def test_a_checkpoint_of_full_size_fills_the_released_network(visual: str, reference: Path, tmp_path: Path) -> None:
    """All 412 names and shapes of Qwen2.5-7B, CLIP-L and HuBERT-L; the values are one number each, so the file is small."""
    shapes = json.loads((reference / "oracle" / "full_size_layouts.json").read_text(encoding="utf-8"))["authors"]
    assert len(shapes) == 412
    weights = {name: torch.full((1,), 0.5).expand(shape) for name, shape in shapes.items()}
    file = write_their_file(tmp_path / "full.pth", weights, f"multi{visual}_audio_{visual}_text", optimizer={})
    assert file.stat().st_size < 1_000_000
    stored = read_affectgpt(file)
    full = ModelConfiguration.resolve(
        **{
            **RELEASED,
            "video_encoder": "clip-vit-large-patch14",
            "audio_encoder": "chinese-hubert-large",
            "language_model": {"name": "qwen2.5", "size": "7B"},
        }
    )
    assert stored.visual == (visual,)
    configuration = showing(full, stored.visual)
    network = empty_network(configuration)
    state = our_weights(stored.weights, network.trainable_state(), configuration, str(file))
    network.load_trainable_state(state, str(file), assign=True)
    assert sum(value.numel() for value in network.trainable_state().values()) == 57_168_644 - (3584 * 768 + 3584)
    assert not any(value.is_meta for value in network.trainable_state().values())
    back = their_weights({name: value.to("meta") for name, value in state.items()}, configuration, str(file))
    assert {name: list(value.shape) for name, value in back.items()} == shapes
    assert {value.dtype for value in back.values()} == {torch.float32}


@pytest.mark.parametrize("case", ["released", "common_case"])
def test_oracle_weights_as_their_saver_wrote_them_give_their_tokens(case: str, reference: Path, tmp_path: Path) -> None:
    folder = reference / "oracle"

    def arrays(name: str) -> dict[str, torch.Tensor]:
        with np.load(folder / name, allow_pickle=False) as stored:
            return {key: torch.from_numpy(stored[key]) for key in stored.files}

    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    sizes, lora = settings["language_model"], settings["lora"]
    language_model = {
        "name": "tiny-lm",
        "hidden_width": sizes["hidden_size"],
        "num_layers": sizes["num_hidden_layers"],
        "num_heads": sizes["num_attention_heads"],
        "lora_rank": lora["rank"],
        "lora_alpha": lora["alpha"],
    }
    configuration = released(
        language_model=language_model,
        video_encoder={"name": "tiny-video", "width": settings["widths"]["face"]},
        audio_encoder={"name": "tiny-audio", "width": settings["widths"]["audio"]},
    )
    file = write_their_file(tmp_path / "theirs.pth", arrays(f"{case}_trained_weights.npz"))
    found = import_weights(file, tmp_path / "ours", configuration)
    assert found.tensors == len(settings["trained_names"]) - 2
    network = AffectGPT.from_pretrained(tmp_path / "ours")
    given, wanted = arrays("inputs.npz"), arrays(f"{case}_outputs.npz")
    features = {name: FeatureSequence(given[name], given[f"{name}_mask"]) for name in ("audio", "face")}
    with torch.no_grad():
        tokens = network.project(features)
    assert set(tokens) == {"multi", "audio", "face"}
    for name, value in tokens.items():
        expected = wanted[f"tokens_{name}"]
        assert (value - expected).abs().max() <= 1e-5 * expected.abs().max()
