"""The text of a user turn: placeholders for the feature tokens, the subtitle, the question (paper, Section 3.1).

The order is the paper's: fused tokens, audio tokens, face and frame tokens, subtitle, question. A placeholder is one
private-use character, repeated once a feature token; `model.prompt_assembly` replaces it by the token's embedding,
so nothing is added to a language model's vocabulary. Neighbour: `questions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from affect_lightning.errors import ConfigurationError

STREAMS = ("multi", "audio", "face", "frame", "text")

# Plane 15 (supplementary private use): private-use characters of the basic plane do turn up in real subtitles.
PLACEHOLDERS = {
    "multi": "\U000f0a00",
    "audio": "\U000f0a01",
    "face": "\U000f0a02",
    "frame": "\U000f0a03",
}


def check_inputs(inputs: Sequence[str]) -> tuple[str, ...]:
    """Check the streams that the prompt shows and put them into the prompt's order.

    Args:
        inputs: Names out of `STREAMS`, in any order.

    Returns:
        The same names in the order of `STREAMS`.

    Raises:
        ConfigurationError: Unknown name, a name twice, or no name at all.
    """
    unknown = [name for name in inputs if name not in STREAMS]
    if unknown or len(set(inputs)) != len(inputs) or not inputs:
        raise ConfigurationError(
            f"`inputs` lists the streams that the prompt shows, each once, out of {', '.join(STREAMS)}; "
            f"got {list(inputs)}."
        )
    return tuple(name for name in STREAMS if name in inputs)


def assemble_user_text(
    inputs: Sequence[str], subtitle: str, question: str, token_counts: Mapping[str, int] | None = None
) -> str:
    """Write the user turn of one clip.

    Args:
        inputs: Streams that the prompt shows, out of `STREAMS`.
        subtitle: What is said; shown when `text` is in `inputs`, also when it is empty (nobody speaks).
        question: The question.
        token_counts: Feature tokens a stream; 1 for a stream that is not named, 0 for one that gives none.

    Returns:
        The text with placeholders.

    Raises:
        ConfigurationError: `inputs` is wrong; see `check_inputs`.
    """
    counts = token_counts or {}
    shown = check_inputs(inputs)
    tokens = "".join(PLACEHOLDERS[name] * counts.get(name, 1) for name in shown if name in PLACEHOLDERS)
    lines = [f"Clip: {tokens}"] if tokens else []
    if "text" in shown:
        lines.append(f'Says: "{" ".join(subtitle.split())}"')
    return "\n".join([*lines, question])


def count_placeholders(text: str) -> dict[str, int]:
    """Placeholders of each feature stream in a text, for checks and messages."""
    return {name: text.count(character) for name, character in PLACEHOLDERS.items()}
