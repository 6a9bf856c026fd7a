"""AdaptedCausalLM: the language model contract on a Hugging Face causal model with LoRA (paper, Section 3.1, Eq. 1-2).

The base is frozen, the adapter trains. The plugins next to this file (`hub_models.py` with its families, `smollm2.py`,
`tiny.py`) differ only in where model and tokenizer come from. `adapters.py` has the adapters. `response_decoding.py` or
`vllm_engine.py` generates, the first with the adapter merged (`merged_adapter.py`).
Legend: B clips, L text tokens, E embedding width, R supervised positions of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts import IGNORED_LABEL, LanguageModel, RowLayout
from affect_lightning.contracts.generation_watch import current_watch
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.weights import in_eval_mode
from affect_lightning_plugins.language_models.adapters import (
    AdapterOptions,
    attach_adapter,
    learned_prompt,
    load_adapter,
    save_adapter,
)
from affect_lightning_plugins.language_models.chat_text import ChatText
from affect_lightning_plugins.language_models.merged_adapter import MergedAdapter
from affect_lightning_plugins.language_models.packed_attention import (
    ClipBounds,
    packed_arguments,
    row_mask,
    takes_row_mask,
    use_clipwise_attention,
)
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, decode_responses, read_prefix
from affect_lightning_plugins.language_models.training_memory import response_loss, token_scores
from affect_lightning_plugins.language_models.vllm_engine import VllmEngine

if TYPE_CHECKING:
    from affect_lightning_plugins.language_models.fixed_room import FixedRoom

_LONGEST_MASKED_ROW = 512  # tokens of a packed row whose attention goes through a mask; our choice
_TEXT_METHODS = ("render_prompt", "text_ids", "response_ids")
# A CPU computes faster where keys and values grow: it asks for no graph, and reads no empty places.
_FIXED_ROOMS_ON = "cuda"
# Configuration entries by which a model changes its logits after the head; the loss here would miss them.
_LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling")


class AdaptedCausalLM(LanguageModel):
    """A frozen causal model with a LoRA adapter. Plugins derive from it and bring model and tokenizer.

    Attributes:
        loads_four_bits: Whether the plugin loads a base in four bits for the adapter `qlora`.
        merged: The weights with the adapter added, while responses are made.
        rooms: Where a GPU keeps keys and values while responses are made; None before the first one.
    """

    loads_four_bits = False

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        lora: AdapterOptions,
        *,
        system_prompt: str | None = None,
        chat_template: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        merge_adapter: bool = True,
        cuda_graphs: bool = True,
    ) -> None:
        """Attach the adapter.

        Args:
            model: A transformers causal language model.
            tokenizer: Its tokenizer; None for a model on the meta device, which is only counted.
            lora: Which adapter.
            system_prompt: Text of the system turn; None leaves it to the chat template.
            chat_template: Jinja text that replaces the tokenizer's chat template; None keeps that.
            template_options: Values for the chat template, such as `enable_thinking`.
            merge_adapter: Add the adapter to the weights while responses are made.
            cuda_graphs: Replay each decoding step as a CUDA graph, on a GPU.

        Raises:
            ConfigurationError: No chat template, no end token, a head that the loss cannot reproduce, or wrong
                options of the adapter.
        """
        super().__init__()
        if lora.adapter == "qlora" and lora.lora_rank and not self.loads_four_bits:
            raise ConfigurationError(
                f"Choose the adapter `lora`, or a language model from a folder or the hub, such as `causal-lm` or `qwen2.5`: "
                f"`qlora` needs a base in four bits, and {type(self).__name__} has none."
            )
        changed = [name for name in _LOGIT_CHANGES if getattr(model.config, name, None) not in {None, 1.0}]
        if changed:
            raise ConfigurationError(
                f"{type(model).__name__} changes its logits after the head ({', '.join(changed)}), but the loss on "
                f"response positions does not do this. Choose a model without it, such as Qwen, Llama or SmolLM."
            )
        self.tokenizer = None if tokenizer is None else checked_tokenizer(tokenizer, chat_template)
        self.system_prompt = system_prompt
        self.template_options = dict(template_options or {})
        self.embedding_width = int(model.get_input_embeddings().weight.shape[1])
        self.lora = lora
        self.attends_clipwise = use_clipwise_attention(model)
        self.network = attach_adapter(model, lora)
        self.end_ids = frozenset() if tokenizer is None else end_ids(model, tokenizer)
        self.engine: VllmEngine | None = None  # set by a plugin that generates with it
        self.merged = MergedAdapter(merge_adapter)
        self.rooms: FixedRoom | None = None
        self._cuda_graphs = cuda_graphs

    def train(self, mode: bool = True) -> AdaptedCausalLM:
        """Set the mode; training frees what only responses need."""
        if mode:
            self._free()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AdaptedCausalLM:
        self._free()  # weights go elsewhere or change their type
        return super()._apply(fn, recurse)

    def _free(self) -> None:
        self.merged.drop()
        if self.rooms is not None:
            self.rooms.drop()

    @property
    def causal_model(self) -> Any:
        """The transformers model; its linear layers are the adapted ones."""
        return self.network.get_base_model() if self.lora.lora_rank else self.network

    def render_prompt(self, user_text: str) -> str:
        """See `LanguageModel.render_prompt`."""
        return self._chat_text.render_prompt(user_text)

    def text_ids(self, text: str) -> list[int]:
        """See `LanguageModel.text_ids`."""
        return self._chat_text.text_ids(text)

    def response_ids(self, response: str) -> list[int]:
        """See `LanguageModel.response_ids`."""
        return self._chat_text.response_ids(response)

    def prompt_text(self) -> ChatText | None:
        """See `LanguageModel.prompt_text`; None for a plugin that writes prompts in a way of its own."""
        own = (getattr(type(self), name) is not getattr(AdaptedCausalLM, name) for name in _TEXT_METHODS)
        return None if any(own) else self._chat_text

    @property
    def _chat_text(self) -> ChatText:
        return ChatText(self.tokenizer, self.system_prompt, self.template_options)

    def embed(self, ids: Tensor) -> Tensor:
        """See `LanguageModel.embed`."""
        return self.causal_model.get_input_embeddings()(ids)

    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """See `LanguageModel.loss`. It asks the device where the tokens are; `loss_of_rows` is told."""
        layout = RowLayout.of(attention_mask, labels).with_each(lambda places: places.to(labels.device))
        return self.loss_of_rows(inputs_embeds, attention_mask, labels, layout)

    def loss_of_rows(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor, layout: RowLayout) -> Tensor:
        """See `LanguageModel.loss_of_rows`. Only the R supervised positions pass the head, and many of them in pieces.

        Raises:
            ContractError: Nothing is supervised.
        """
        hidden, targets = self._predictions(inputs_embeds, attention_mask, labels, layout)
        return response_loss(
            hidden, targets, self.causal_model.get_output_embeddings(), self.causal_model.config.vocab_size
        )

    def token_scores(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        layout: RowLayout,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """See `LanguageModel.token_scores`.

        Raises:
            ContractError: Nothing is supervised.
        """
        hidden, targets = self._predictions(inputs_embeds, attention_mask, labels, layout)
        model = self.causal_model
        return token_scores(hidden, targets, model.get_output_embeddings(), model.config.vocab_size, temperature)

    def _predictions(
        self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor, layout: RowLayout
    ) -> tuple[Tensor, Tensor]:
        """Last hidden states [R, E] of the supervised positions, and the token [R] that follows each."""
        inputs_embeds, attention_mask, before = self._with_learned_prompt(inputs_embeds, attention_mask)
        if before:
            layout = layout.behind(before, labels.shape[1])
            labels = torch.cat([labels.new_full((len(labels), before), IGNORED_LABEL), labels], dim=1)
        if not len(layout.predicting):
            raise ContractError("The batch has no response to learn: every label is -100.")
        hidden = self._predicting_states(inputs_embeds, attention_mask.long(), layout)
        return hidden, labels.flatten().index_select(0, layout.predicting + 1)

    def _with_learned_prompt(self, inputs_embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, int]:
        """Embeddings and mask with what prompt tuning puts before them, and how many tokens that is."""
        prompt = learned_prompt(self.network, len(inputs_embeds))
        if prompt is None:
            return inputs_embeds, mask, 0
        before = torch.cat([prompt.to(inputs_embeds.dtype), inputs_embeds], dim=1)
        return before, torch.cat([mask.new_ones(prompt.shape[:2]), mask], dim=1), prompt.shape[1]

    def _predicting_states(self, inputs_embeds: Tensor, mask: Tensor, layout: RowLayout) -> Tensor:
        """Last hidden states [R, E] of the supervised positions.

        Packed, all clips stand in one row without padding; positions that start again at 0 tell the model where a clip
        begins, and no clip attends to another. Where attention is not clip by clip, a long row is left padded: its
        attention would cost more than the padding does.
        """
        if not self._packs(layout.lengths, mask.shape[1], on_gpu=mask.is_cuda):
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
            states = self._states(inputs_embeds, position_ids=positions, attention_mask=mask)
            return states.flatten(0, 1).index_select(0, layout.predicting)
        packed = inputs_embeds.flatten(0, 1).index_select(0, layout.real).unsqueeze(0)  # [1, T, E]
        how: dict[str, Any] = {"attention_mask": None}
        if self.attends_clipwise:
            how = self.row_arguments(layout.cumulative, layout.lengths)
        elif takes_row_mask(self.causal_model.config, max(layout.lengths)):
            how = {"attention_mask": row_mask(layout.positions, packed.dtype)}
        states = self._states(packed, position_ids=layout.positions.unsqueeze(0), **how)
        return states[0].index_select(0, layout.predicting_packed)

    def row_arguments(self, cumulative: Tensor, lengths: Sequence[int]) -> dict[str, Any]:
        """What the transformers model takes for a row of several clips beside embeddings and positions.

        Args:
            cumulative: Tokens before each clip and after the last, int32 [B + 1].
            lengths: Tokens of each clip.
        """
        return packed_arguments(ClipBounds(cumulative, tuple(lengths)))

    def _states(self, inputs_embeds: Tensor, **options: Any) -> Tensor:
        """Last hidden states of the model's blocks."""
        states: Tensor = self.causal_model.base_model(
            inputs_embeds=inputs_embeds, use_cache=False, **options
        ).last_hidden_state
        return states

    def _packs(self, lengths: Sequence[int], width: int, *, on_gpu: bool = False) -> bool:
        """Whether clips of these lengths, in rows of this width, are put into one row.

        On a GPU also where there is no padding: to build the mask of padded rows, transformers asks the device.
        """
        padded = len(lengths) > 1 and min(lengths) < width
        if self.attends_clipwise:
            return padded or on_gpu
        return padded and sum(lengths) <= _LONGEST_MASKED_ROW

    def computed_positions(self, lengths: Sequence[int]) -> int:
        """See `LanguageModel.computed_positions`; packed clips have no padding."""
        packs = self._packs(lengths, max(lengths, default=0))
        return sum(lengths) if packs else super().computed_positions(lengths)

    def generate(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | Sequence[int] | None = None,
    ) -> list[str]:
        """See `LanguageModel.generate`; adapter dropout is off whatever the mode."""
        options = DecodingOptions(max_new_tokens, temperature, top_p, seed)
        if self.engine is not None:
            return self._texts(self.engine.decode(self.network, inputs_embeds, attention_mask, self.end_ids, options))
        with in_eval_mode(self):
            inputs_embeds, attention_mask, _ = self._with_learned_prompt(inputs_embeds, attention_mask)
            with self.merged.in_place(self.network):
                responses = self._decode(inputs_embeds, attention_mask, options)
        return self._texts(responses)

    def _decode(
        self, inputs_embeds: Tensor, mask: Tensor, options: DecodingOptions, cache: Any = None
    ) -> list[list[int]]:
        rooms = self._fixed_rooms() if inputs_embeds.device.type == _FIXED_ROOMS_ON else None
        ends, tell = self.end_ids, self._teller(mask)
        return decode_responses(
            self.causal_model, inputs_embeds, mask, ends, options, cache, fixed_room=rooms, tell=tell
        )

    def _teller(self, mask: Tensor) -> Callable[[Sequence[Sequence[int]], Sequence[int]], None] | None:
        """What tells the watch, if there is one, of the responses so far."""
        watch = current_watch()
        if watch is None:
            return None
        watch.reads(mask.sum(dim=1).tolist())

        def tell(responses: Sequence[Sequence[int]], rooms: Sequence[int]) -> None:
            counts = [len(ids) for ids in responses]
            are_full = [count == room for count, room in zip(counts, rooms, strict=True)]
            watch.writes(self._texts(responses), counts, are_full)

        return tell

    def _fixed_rooms(self) -> FixedRoom:
        if self.rooms is None:
            from affect_lightning_plugins.language_models.fixed_room import FixedRoom

            self.rooms = FixedRoom(self._cuda_graphs)
        return self.rooms

    def generate_from_prefix(
        self,
        prefix_embeds: Tensor,
        prefix_mask: Tensor,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        **options: Any,
    ) -> list[str]:
        """See `LanguageModel.generate_from_prefix`; the beginnings are read once (by vLLM: found in its prefix cache)."""
        if self.engine is not None:
            return super().generate_from_prefix(prefix_embeds, prefix_mask, inputs_embeds, attention_mask, **options)
        decoding = DecodingOptions(**options)
        times = len(inputs_embeds) // len(prefix_embeds)
        prefix_embeds, prefix_mask, _ = self._with_learned_prompt(prefix_embeds, prefix_mask)
        mask = torch.cat([prefix_mask.repeat_interleave(times, dim=0), attention_mask], dim=1)
        with in_eval_mode(self), self.merged.in_place(self.network):
            cache = read_prefix(self.causal_model, prefix_embeds, prefix_mask, times)
            responses = self._decode(inputs_embeds, mask, decoding, cache)
        return self._texts(responses)

    def _texts(self, responses: Sequence[Sequence[int]]) -> list[str]:
        return [self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in responses]

    def shardable_blocks(self) -> Sequence[nn.Module]:
        """See `LanguageModel.shardable_blocks`."""
        return list(self.causal_model.base_model.layers)

    def save_adapter(self, folder: str) -> None:
        """See `LanguageModel.save_adapter`."""
        if self.lora.lora_rank:
            save_adapter(self.network, folder)

    def load_adapter(self, folder: str) -> None:
        """See `LanguageModel.load_adapter`.

        Raises:
            CheckpointError: The folder has no adapter, or one that does not fit.
        """
        if self.lora.lora_rank:
            load_adapter(self.network, folder)


def checked_tokenizer(tokenizer: Any, chat_template: str | None) -> Any:
    """The tokenizer with chat template, end and padding tokens in place.

    Args:
        tokenizer: A transformers tokenizer; changed in place.
        chat_template: Jinja text that replaces its chat template; None keeps that.

    Raises:
        ConfigurationError: There is no chat template or no end token.
    """
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    if not tokenizer.chat_template:
        raise ConfigurationError(
            "The tokenizer has no chat template. Choose an instruction-tuned model, or give its Jinja text as "
            "the option chat_template."
        )
    if tokenizer.eos_token_id is None:
        raise ConfigurationError(
            "The tokenizer has no end token (eos_token), so no response would end. Choose an instruction-tuned model."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """End tokens of the tokenizer and of the model's generation settings (Qwen and Llama 3 have several)."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset({tokenizer.eos_token_id, *(token for token in more if token is not None)})


def default_dtype() -> str:
    """Number type for a frozen base where none was asked for: bfloat16 on a GPU that has it, else float32 (ours)."""
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"
