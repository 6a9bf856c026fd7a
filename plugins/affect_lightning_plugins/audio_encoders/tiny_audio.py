"""Audio encoder `tiny-audio`: the paper's HuBERT as a tiny random configuration, for tests.

Paper, Appendix B: HuBERT-Large, 8 windows of 2 seconds, mean of the last four hidden layers, mean over time in a
window. This is the same Hugging Face class with four layers of width 16 and weights drawn from a seed. It cuts and
averages in the same way. `windows.py` cuts the sound.
Legend: B clips, S audio samples, N windows, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from affect_lightning.contracts import AudioEncoder, FeatureSequence
from affect_lightning.sending import sent_rows
from affect_lightning_plugins.audio_encoders.pretrained_speech import mean_of_last_layers
from affect_lightning_plugins.audio_encoders.windows import checked_lengths, window_positions


class TinyAudioEncoder(AudioEncoder):
    """Tiny HuBERT with random weights, for tests only; it has learned nothing.

    All defaults but those of the paper are our choice: as small as the real class allows.

    Args:
        width: Feature width D; a multiple of 2.
        windows: Tokens a clip; 8 as in the paper (Appendix B).
        window_seconds: Length of a window; 0.25 keeps tests fast, the paper has 2.
        seed: Seed of the weights.
    """

    plans_on_processor = True

    def __init__(self, width: int = 16, windows: int = 8, window_seconds: float = 0.25, seed: int = 0) -> None:
        super().__init__()
        from transformers import HubertConfig, HubertModel

        configuration = HubertConfig(
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=4,
            num_attention_heads=2,
            conv_dim=(8, 8, 8),
            conv_kernel=(10, 8, 4),
            conv_stride=(8, 8, 5),
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = HubertModel(configuration)
        self.windows = windows
        self.sample_rate = 16_000
        self.window_samples = round(window_seconds * self.sample_rate)
        self.feature_width = width
        self.eval()

    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Encode every window by itself; see `AudioEncoder.forward`.

        Returns:
            Tokens [B, windows, D]; all real, or none for a clip of length 0. A clip shorter than a window is filled
            up with silence, whatever the batch holds.
        """
        known = checked_lengths(waveform, lengths)
        heard = [clip for clip, length in enumerate(known) if length]
        sent_lengths, clips = sent_rows([known, heard], waveform.device)
        mask = (sent_lengths > 0)[:, None].expand(-1, self.windows).clone()
        tokens = torch.zeros(*mask.shape, self.feature_width, dtype=self._dtype, device=waveform.device)
        if not heard:
            return FeatureSequence(tokens, mask)
        positions, inside = window_positions(sent_lengths, self.windows, self.window_samples)
        cut = waveform.gather(1, positions.flatten(1)).view_as(positions).masked_fill(~inside, 0.0)
        cut = cut.index_select(0, clips).flatten(0, 1)  # [real windows, L]
        found = self.network(cut.to(self._dtype), output_hidden_states=True)
        vectors = mean_of_last_layers(found, 4).mean(dim=1).to(tokens.dtype)  # [real windows, D]
        return FeatureSequence(tokens.index_copy(0, clips, vectors.view(len(heard), self.windows, -1)), mask)

    @property
    def _dtype(self) -> torch.dtype:
        return self.network.feature_projection.projection.weight.dtype
