"""Which class of transformers a multimodal chat model has, what its processor takes, and what of it writes words.

Classes are found by what the configuration names, by the library's tables of classes, whichever of them this version
has, and beside the configuration's own class; no family is known by name. `hf_chat.py` asks the model. Legend: B clips.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.cue_describers.clip_parts import ClipParts

# Tables of classes that write text about pictures or sound, the newest first; not every version has each.
_TABLES = (
    "MODEL_FOR_MULTIMODAL_LM_MAPPING",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "MODEL_FOR_VISION_2_SEQ_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING",
)

_SPEAKING = (r"^talker\.", r"^token2wav\.", r"^code2wav\.")  # of models that speak as well


@dataclass(frozen=True)
class ChatClass:
    """How the part of a model that writes words is loaded.

    Attributes:
        model_class: Of transformers.
        config: Of that part.
        surplus: Regular expressions of stored weights that this part does not have, such as those that speak.
    """

    model_class: Any
    config: Any
    surplus: tuple[str, ...] = ()


def chat_class(config: Any, source: str) -> ChatClass:
    """The class with which a model answers in words; of one that also speaks, such as Qwen2.5-Omni, its `thinker`.

    Args:
        config: Of the whole model.
        source: Folder or hub name, for the message.

    Raises:
        ConfigurationError: This transformers has none.
    """
    import transformers

    thinker = getattr(config, "thinker_config", None)
    part = config if thinker is None else thinker
    found = _named(part) or _listed(part) or _configured(part)
    if found is None:
        raise ConfigurationError(
            f"transformers {transformers.__version__} has no class that answers in words for {source!r} (type "
            f"{getattr(config, 'model_type', 'unknown')!r}). Install a newer transformers, serve the model and use the "
            f"describer openai, or import its saved outputs with the describer import."
        )
    return ChatClass(found, part, () if thinker is None else _SPEAKING)


def _named(config: Any) -> Any:
    """The class that the configuration names."""
    import transformers

    for name in getattr(config, "architectures", None) or ():
        named = getattr(transformers, name, None)
        if hasattr(named, "generate"):
            return named
    return None


def _listed(config: Any) -> Any:
    """The class in the library's tables."""
    from transformers.models.auto import modeling_auto

    for table in _TABLES:
        mapping = getattr(modeling_auto, table, None)
        if mapping is not None and type(config) in mapping:
            found = mapping[type(config)]
            return found[0] if isinstance(found, tuple) else found
    return None


def _configured(config: Any) -> Any:
    """The class beside the configuration's own that is built from it and can write."""
    name = type(config).__module__.replace(".configuration_", ".modeling_")
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    for found in vars(module).values():
        own = inspect.isclass(found) and found.__module__ == name and hasattr(found, "generate")
        if own and getattr(found, "config_class", None) is type(config) and found.__name__.endswith("Generation"):
            return found
    return None


def heard_and_seen(processor: Any) -> tuple[bool, bool]:
    """Whether a processor takes sound, and whether it takes pictures."""
    hears = getattr(processor, "feature_extractor", None) is not None
    sees = any(getattr(processor, name, None) is not None for name in ("video_processor", "image_processor"))
    return hears, sees


def processor_inputs(processor: Any, prompts: Sequence[str], clips: Sequence[ClipParts]) -> Any:
    """What the model takes: ids [B, L] padded on the left, with pixels and sound.

    Args:
        processor: Of the model.
        prompts: Rendered, one a clip.
        clips: Of one form.
    """
    given: dict[str, Any] = {"text": list(prompts), "return_tensors": "pt", "padding": True}
    if clips[0].frames is not None:
        given["videos"] = [clip.frames for clip in clips]
        if getattr(processor, "video_processor", None) is not None and _takes(processor, "do_sample_frames"):
            given["do_sample_frames"] = False  # the frames are chosen already
    if clips[0].sound is not None:
        given["audio"] = [clip.sound for clip in clips]
        given["sampling_rate"] = clips[0].sample_rate
    return processor(**given)


def _takes(processor: Any, option: str) -> bool:
    """Whether a processor can be called with that option; Video-LLaVA's before 5.0 lists its own."""
    parameters = inspect.signature(type(processor).__call__).parameters.values()
    return any(one.name == option or one.kind is one.VAR_KEYWORD for one in parameters)
