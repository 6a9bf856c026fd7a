"""Language models."""

from affect_lightning.plugin_loading import load_plugin_class

TinyLM = load_plugin_class("language_models", "tiny-lm")


class WideEmbeddings(TinyLM):
    """Embeddings are wider than it says."""

    def embed(self, ids):
        return super().embed(ids).repeat_interleave(2, dim=-1)


class LossPerClip(TinyLM):
    """Gives a loss for each clip."""

    def loss(self, inputs_embeds, attention_mask, labels):
        return super().loss(inputs_embeds, attention_mask, labels).expand(len(labels))


class LossNotANumber(TinyLM):
    """Gives NaN."""

    def loss(self, inputs_embeds, attention_mask, labels):
        return super().loss(inputs_embeds, attention_mask, labels) * float("nan")


class OneResponse(TinyLM):
    """Answers the first prompt only."""

    def generate(self, inputs_embeds, attention_mask, **options):
        return super().generate(inputs_embeds, attention_mask, **options)[:1]

    def generate_from_prefix(self, *prompts, **options):
        return super().generate_from_prefix(*prompts, **options)[:1]
