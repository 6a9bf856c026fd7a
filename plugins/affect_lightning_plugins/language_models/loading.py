"""Loading a Hugging Face causal model completely or not at all. Used by `causal_lm.py` and `smollm2.py`."""

from __future__ import annotations

from typing import Any

from affect_lightning.errors import ConfigurationError


def load_causal_model(source: str, **options: Any) -> Any:
    """`AutoModelForCausalLM.from_pretrained`, checked; code from the source is never run.

    Args:
        source: Folder or hub name.
        options: Passed on, such as `revision`, `dtype` or `gguf_file`.

    Raises:
        ConfigurationError: The source cannot be read, or its weights do not fill the model exactly; the message lists
            the keys.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, trust_remote_code=False, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        raise ConfigurationError(_unreadable("model", source, error)) from error
    model, report = loaded
    problems = {
        "missing": report["missing_keys"],
        "surplus": report["unexpected_keys"],
        "differently shaped": [entry[0] for entry in report["mismatched_keys"]],
    }
    found = [f"{kind}: {', '.join(sorted(map(str, keys))[:8])}" for kind, keys in problems.items() if keys]
    if found:
        raise ConfigurationError(
            f"The weights of {source} do not fill {type(model).__name__} exactly, so they are not used. "
            f"{'; '.join(found)}. The folder is incomplete or belongs to another model class."
        )
    return model


def load_tokenizer(source: str, **options: Any) -> Any:
    """`AutoTokenizer.from_pretrained`; code from the source is never run.

    Raises:
        ConfigurationError: The source cannot be read.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        raise ConfigurationError(_unreadable("tokenizer", source, error)) from error


def _unreadable(part: str, source: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300].rstrip(".")
    return (
        f"The {part} of the language model {source!r} cannot be read: {reason}. Give a folder with config.json, "
        f"weights and tokenizer, or a hub name with network access; models with code of their own are not supported."
    )
