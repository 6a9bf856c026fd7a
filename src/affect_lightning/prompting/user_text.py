"""The text of a user turn: placeholders for the feature tokens, the subtitle, the question (paper, Section 3.1).

The order is the paper's: fused tokens, audio tokens, face and frame tokens, subtitle, question. A placeholder is one
private-use character, repeated once a feature token; `model.prompt_assembly` replaces it by the token's embedding,
so nothing is added to a language model's vocabulary. Which streams there are is not known here: the first stream that
is shown has the first placeholder, the second the second. Neighbour: `questions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SUBTITLE_STREAM = "text"
# Plane 15 (supplementary private use): private-use characters of the basic plane do turn up in real subtitles.
FIRST_PLACEHOLDER, MAX_PLACEHOLDERS = 0xF0A00, 256


def placeholder(position: int) -> str:
    """The character of the stream that stands at this position among those shown.

    >>> placeholder(2) == chr(0xF0A02)
    True
    """
    return chr(FIRST_PLACEHOLDER + position)


def assemble_user_text(
    inputs: Sequence[str], subtitle: str, question: str, token_counts: Mapping[str, int] | None = None
) -> str:
    """Write the user turn of one clip.

    Args:
        inputs: Streams that the prompt shows, in its order.
        subtitle: What is said; shown when `text` is in `inputs`, also when it is empty (nobody speaks).
        question: The question.
        token_counts: Feature tokens a stream; 1 for a stream that is not named, 0 for one that gives none.

    Returns:
        The text with placeholders.
    """
    counts = token_counts or {}
    tokens = "".join(
        placeholder(position) * counts.get(name, 1) for position, name in enumerate(inputs) if name != SUBTITLE_STREAM
    )
    lines = [f"Clip: {tokens}"] if tokens else []
    if SUBTITLE_STREAM in inputs:
        lines.append(f'Says: "{" ".join(subtitle.split())}"')
    return "\n".join([*lines, question])
