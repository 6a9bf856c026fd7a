"""The network with the released options against arrays from the authors' own model class, computed on tiny random sizes.

`pytest -k oracle` runs these and `test_oracle_encoders.py`. Sizes, ids and names come from the folder's `settings.json`.
What was compared, and how far apart it is, stands at the end of the run. The last tests change one option back at a time
(`oracle_options.py` has the list).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import FeatureSequence, NetworkOutputs
from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.prompt_assembly import assemble_prompts, embed_tokens
from affect_lightning.model.prompt_tokens import sentinel_of, tokens_of_rows
from oracle_options import NETWORK_BACK, PROMPT_BACK, RELEASED

CLOSE = 1e-5  # relative to the largest value of an array
INPUTS = ["multi", "audio", "face"]
# Where a weight of the authors' checkpoint stands here; what is not named is dropped.
PLACES = {
    "llama_model.": "language_model.network.",
    "affectgpt_proj.": "projectors.face.",
    "audio_llama_proj.": "projectors.audio.",
    "multi_llama_proj.": "projectors.multi.",
    "video_attention_mlp.": "branches.face.scoring.",
    "audio_attention_mlp.": "branches.audio.scoring.",
    "multi_video_embs.": "pre_fusion.projections.face.",
    "multi_audio_embs.": "pre_fusion.projections.audio.",
    "attention_mlp.": "pre_fusion.mixing.",
    "fc_att.": "pre_fusion.weighing.",
}
ARRAYS = (
    *(f"{kind}_{stream}" for kind in ("branch", "branch_weights", "tokens") for stream in ("face", "audio")),
    *("fusion_weights", "fused", "tokens_multi", "inputs_embeds", "logits", "loss", "gradients"),
)


def arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def place_of(name: str, places: Mapping[str, str] = PLACES) -> str | None:
    return next((here + name.removeprefix(there) for there, here in places.items() if name.startswith(there)), None)


def character_tokenizer(settings: Mapping[str, Any]) -> Any:
    """Gives a character below 256 its own number, so the folder's random ids are text, and `#` is the mark's id."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {chr(index): index for index in range(256)}
    vocabulary |= {f"<{index}>": index for index in range(256, settings["language_model"]["vocab_size"])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocab=vocabulary, merges=[])),
        bos_token=f"<{settings['begin_id']}>",
        eos_token=f"<{settings['end_id']}>",
        pad_token=f"<{settings['pad_id']}>",
        chat_template="{{ messages[-1]['content'] }}",
    )


def language_model_folder(oracle: Path, settings: Mapping[str, Any], folder: Path) -> Path:
    """The base as users have one."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    model = Qwen2ForCausalLM(Qwen2Config(**settings["language_model"]))
    weights = {name: value.float() for name, value in arrays(oracle / "base_language_model.npz").items()}
    model.load_state_dict(weights, strict=True)
    model.save_pretrained(folder)
    character_tokenizer(settings).save_pretrained(folder)
    return folder


@dataclass
class Oracle:
    """The folder's content, with a network of its sizes."""

    folder: Path
    settings: dict[str, Any]
    inputs: dict[str, Tensor]
    base: Path

    def network(self, **options: Any) -> AffectGPT:
        """A network of these options, in eval mode; the language model's base is that of the folder."""
        lora = self.settings["lora"]
        choice = {"name": "causal-lm", "model": str(self.base), "dtype": "float32", "lora_rank": lora["rank"]}
        configuration = ModelConfiguration.resolve(
            video_encoder="tiny-video",  # not built: the features are given
            audio_encoder="tiny-audio",
            language_model={**choice, "lora_alpha": lora["alpha"], "lora_dropout": lora["dropout"]},
            inputs=INPUTS,
            branch_tokens=self.settings["tokens_a_stream"],
            **options,
        )
        network = AffectGPT.from_configuration(configuration, self.settings["widths"]).eval()
        network.language_model.tokenizer = character_tokenizer(self.settings)  # read from a folder, Qwen2's takes bytes
        return network

    def features(self) -> dict[str, FeatureSequence]:
        return {name: FeatureSequence(self.inputs[name], self.inputs[f"{name}_mask"]) for name in ("audio", "face")}

    def ids(self, network: AffectGPT) -> Tensor:
        """The prompts with our stand-ins where their placeholders are."""
        ids = self.inputs["input_ids"].clone()
        for name in INPUTS:
            position = network.configuration.inputs.index(name)
            ids[self.inputs["input_ids"] == self.settings["placeholder_ids"][name]] = sentinel_of(position)
        return ids

    def computed(self, network: AffectGPT) -> dict[str, Tensor]:
        """Everything of ours that has an array, by its name; `grad.` by names here."""
        dtype = next(network.projectors.parameters()).dtype
        features = {name: FeatureSequence(one.tokens.to(dtype), one.mask) for name, one in self.features().items()}
        projected = network.project(features)
        found = {f"tokens_{name}": tokens for name, tokens in projected.items()}
        for name in ("face", "audio"):
            found[f"branch_{name}"] = network.branches[name](features[name])[:, 0]
            if hasattr(network.branches[name], "scores"):
                found[f"branch_weights_{name}"] = network.branches[name].scores(features[name].tokens)[..., 0]
        fusion = network.pre_fusion
        fused = {name: features[name] for name in network.configuration.fused_streams}
        found["fused"] = fusion(fused).tokens[:, 0]
        if hasattr(fusion, "weights"):
            pooled = [fusion.projections[name](stream.masked_mean()) for name, stream in fused.items()]
            found["fusion_weights"] = fusion.weights(torch.stack(pooled, dim=1))
        model = network.language_model
        rows = self.ids(network).tolist()
        tokens = tokens_of_rows(rows, [[-100] * len(row) for row in rows], network.configuration.inputs)
        embeds = embed_tokens(model, tokens, projected)
        mask, labels = self.inputs["attention_mask"], self.inputs["labels"]
        outputs = NetworkOutputs(features, projected, embeds, mask, labels)
        loss = network.response_loss(outputs, torch.ones(len(labels), dtype=torch.bool)).mean
        loss.backward()
        with torch.no_grad():
            logits = model.network(inputs_embeds=embeds, attention_mask=mask).logits
        found |= {"inputs_embeds": embeds, "logits": logits[mask.bool()], "loss": loss}
        named = network.named_parameters()
        return found | {f"grad.{name}": value.grad for name, value in named if value.grad is not None}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Reads the folder when a test has found it; the base is written once."""
    known: dict[Path, Oracle] = {}

    def read(reference: Path) -> Oracle:
        folder = reference / "oracle"
        if folder not in known:
            settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
            base = language_model_folder(folder, settings, tmp_path_factory.mktemp("oracle"))
            known[folder] = Oracle(folder, settings, arrays(folder / "inputs.npz"), base)
        return known[folder]

    return read


@pytest.fixture(scope="module")
def released(oracle: Any) -> Any:
    """What the released options compute, and the arrays; computed once."""
    kept: dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}

    def compute(reference: Path, case: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        if case not in kept:
            one = oracle(reference)
            weights = arrays(one.folder / f"{case}_trained_weights.npz")
            assert sorted(weights) == sorted(one.settings["trained_names"])
            network = one.network(**RELEASED)
            ours = {place: value for name, value in weights.items() if (place := place_of(name)) is not None}
            network.load_trainable_state(ours, f"{case}_trained_weights.npz")
            kept[case] = one.computed(network), expected_arrays(one, case)
        return kept[case]

    return compute


def expected_arrays(one: Oracle, case: str) -> dict[str, Tensor]:
    """The arrays of a case; logits of real positions only."""
    found = arrays(one.folder / f"{case}_outputs.npz")
    return {**found, "logits": found["logits"][one.inputs["attention_mask"].bool()]}


def far(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return float((found.detach() - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("case", ["released", "common_case"])
def test_oracle_is_reached_by_the_released_options(
    case: str, name: str, released: Any, reference: Path, record_property: Callable[[str, object], None]
) -> None:
    found, expected = released(reference, case)
    compared = {name: name}
    if name == "gradients":
        gradients = [array for array in expected if array.startswith("grad.")]
        compared = {array: f"grad.{place_of(array.removeprefix('grad.'))}" for array in gradients}
        assert len(compared) > 20
    distances = {array: far(found[ours], expected[array]) for array, ours in compared.items()}
    record_property("compared", f"{case} {name}: {len(distances)} arrays, at most {max(distances.values()):.1e} apart")
    assert {array: distance for array, distance in distances.items() if distance > CLOSE} == {}


def test_oracle_has_no_array_that_is_not_compared(released: Any, reference: Path) -> None:
    for case in ("released", "common_case"):
        _, expected = released(reference, case)
        assert {name for name in expected if not name.startswith("grad.")} == {*ARRAYS} - {"gradients"}


def defaults_of_common_case(one: Oracle, dtype: torch.dtype) -> tuple[AffectGPT, dict[str, str]]:
    """A network of the default options with the common case's weights, and the places of theirs that it has.

    Two layers are folded into one, its rows and halves exchanged (theirs: video, audio; ours: audio, face).
    """
    theirs = {name: value.double() for name, value in arrays(one.folder / "common_case_trained_weights.npz").items()}
    network = one.network(pre_fusion="attention", branch_compression="attention").to(dtype)
    places = {"multi_video_embs.": "pre_fusion.alignment.projections.face."}
    places |= {there: here for there, here in PLACES.items() if here.startswith(("language", "projectors"))}
    ours = {place: value for name, value in theirs.items() if (place := place_of(name, places)) is not None}
    video, audio = (theirs["fc_att.weight"] @ theirs["attention_mlp.weight"]).chunk(2, dim=1)
    ours["pre_fusion.weighing.weight"] = torch.cat([audio, video], dim=1).flip(0)
    state = network.trainable_state()
    for stream in ("face", "audio"):
        ours[f"branches.{stream}.scoring.weight"] = torch.zeros_like(state[f"branches.{stream}.scoring.weight"])
    network.load_trainable_state(ours, "common_case_trained_weights.npz")
    return network, places


def released_common_case(one: Oracle, dtype: torch.dtype) -> AffectGPT:
    """A network of the released options with the common case's weights."""
    network = one.network(**RELEASED).to(dtype)
    weights = arrays(one.folder / "common_case_trained_weights.npz")
    named = {place: value for name, value in weights.items() if (place := place_of(name)) is not None}
    network.load_trainable_state(named, "common_case_trained_weights.npz")
    return network


def test_oracle_common_case_is_reached_by_the_default_options(
    oracle: Any, reference: Path, record_property: Callable[[str, object], None]
) -> None:
    one = oracle(reference)
    found = one.computed(defaults_of_common_case(one, torch.float32)[0])
    expected = expected_arrays(one, "common_case")
    distances = {name: far(found[name], expected[name]) for name in ARRAYS if name in found}
    assert {"fused", "tokens_face", "tokens_audio", "tokens_multi", "inputs_embeds", "logits", "loss"} <= {*distances}
    farthest = max(distances.values())
    record_property("compared", f"common case, default options: {len(distances)} arrays, at most {farthest:.1e} apart")
    assert {name: distance for name, distance in distances.items() if distance > CLOSE} == {}


def test_oracle_common_case_has_the_same_gradients_with_the_default_options(
    oracle: Any, reference: Path, record_property: Callable[[str, object], None]
) -> None:
    """As near to the arrays as 32 bits allow: within CLOSE and the arrays' own rounding.

    The arrays were computed in 32 bits. In 64 bits the default and the released options agree to the last digits, which
    gives the exact gradient, and how far each array is from it (up to 1.6e-5). With the released options the operations
    are the authors', so they round alike; the default options do the same sums in another order and round otherwise.
    """
    one = oracle(reference)
    expected = expected_arrays(one, "common_case")
    network, places = defaults_of_common_case(one, torch.float64)
    exact, released = one.computed(network), one.computed(released_common_case(one, torch.float64))
    ours = one.computed(defaults_of_common_case(one, torch.float32)[0])
    names = [name.removeprefix("grad.") for name in expected if name.startswith("grad.")]
    shared = {name: f"grad.{place}" for name in names if (place := place_of(name, places))}
    assert len(shared) > 20
    told = dict.fromkeys(("64 bits", "rounding", "arrays"), 0.0)
    for name, here in shared.items():
        array = expected[f"grad.{name}"]
        formula = far(exact[here], released[f"grad.{place_of(name)}"].detach())
        rounding = far(exact[here], array.double())
        distance = far(ours[here], array)
        assert formula < 1e-12, name
        assert rounding < 3 * CLOSE, name
        assert distance < CLOSE + rounding, name
        found = {"64 bits": formula, "rounding": rounding, "arrays": distance}
        told = {kind: max(value, found[kind]) for kind, value in told.items()}
    record_property(
        "compared",
        f"common case, default options: {len(shared)} gradients, in 64 bits at most {told['64 bits']:.1e} from the released "
        f"options, in 32 bits {told['arrays']:.1e} from the arrays, which are {told['rounding']:.1e} from 64 bits",
    )


def loaded_as_far_as_it_goes(one: Oracle, **options: Any) -> AffectGPT:
    """A network of other options with every weight of the authors' that still has a place of that shape."""
    torch.manual_seed(0)  # of those that have none
    network = one.network(**options)
    state = network.trainable_state()
    weights = arrays(one.folder / "released_trained_weights.npz")
    ours = {place: value for name, value in weights.items() if (place := place_of(name)) is not None}
    fitting = {name: value for name, value in ours.items() if name in state and state[name].shape == value.shape}
    network.load_state_dict(fitting, strict=False)
    return network


@pytest.mark.parametrize(("option", "ours", "missed"), NETWORK_BACK, ids=[option for option, *_ in NETWORK_BACK])
def test_oracle_is_missed_with_one_option_of_ours(
    option: str,
    ours: Any,
    missed: tuple[str, ...],
    oracle: Any,
    reference: Path,
    record_property: Callable[[str, object], None],
) -> None:
    one = oracle(reference)
    expected = expected_arrays(one, "released")
    back = one.computed(loaded_as_far_as_it_goes(one, **RELEASED))
    found = one.computed(loaded_as_far_as_it_goes(one, **{**RELEASED, option: ours}))
    for array in missed:
        assert far(back[array], expected[array]) < CLOSE, array
        assert far(found[array], expected[array]) > 10 * CLOSE, array
    record_property("compared", f"with `{option}` of ours {len(missed)} arrays are missed: {', '.join(missed)}")


def assembled(one: Oracle, **options: Any) -> tuple[AffectGPT, Any]:
    """Prompts of ours to the responses that the arrays have, as text."""
    network = one.network(**options)
    model, marks = network.language_model, one.settings["answer_end_marks"]
    rows = [[int(label) for label in row if label >= 0] for row in one.inputs["labels"]]
    assert all(row[-1] == one.settings["end_id"] and row[-len(marks) - 1 : -1] == marks for row in rows)
    responses = ["".join(map(chr, row[: -len(marks) - 1])) for row in rows]
    with torch.no_grad():
        prompts = assemble_prompts(
            model,
            inputs=network.configuration.inputs,
            names=[f"clip {index}" for index in range(len(rows))],
            subtitles=[""] * len(rows),
            questions=["?"] * len(rows),
            features=network.project(one.features()),
            responses=responses,
            style=network.configuration.prompt_style,
        )
    return network, prompts


def learnt(labels: Tensor) -> list[list[int]]:
    return [[int(label) for label in row if label >= 0] for row in labels]


def test_oracle_responses_end_with_marks_and_end_token(oracle: Any, reference: Path) -> None:
    one = oracle(reference)
    wanted = learnt(one.inputs["labels"])
    assert learnt(assembled(one, **RELEASED)[1].labels) == wanted
    back = {"response_end": PROMPT_BACK["response_end"]}
    assert learnt(assembled(one, **{**RELEASED, **back})[1].labels) != wanted


def test_oracle_prompts_to_learn_from_start_with_the_begin_token(oracle: Any, reference: Path) -> None:
    one = oracle(reference)
    assert bool((one.inputs["input_ids"][:, 0] == one.settings["begin_id"]).all())
    for form, begins in ((RELEASED["prompt_form"], True), (PROMPT_BACK["prompt_form"], False)):
        network, prompts = assembled(one, **{**RELEASED, "prompt_form": form})
        with torch.no_grad():
            begin = network.language_model.embed(torch.tensor(one.settings["begin_id"]))
        assert torch.equal(prompts.inputs_embeds[:, 0], begin.expand(len(prompts.labels), -1)) == begins
