"""What another language model is asked about a response to a question with a closed set of answers (ours).

The label extractor `choices` asks with it what its rules leave open. `extraction_prompts.py` has the questions about emotions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

_PROMPT = """\
Below, between the marks <<< and >>>, stands an answer to a question about a person in a video.

<<<
{response}
>>>

Which one of these classes does the answer choose: {classes}? Answer with a JSON list that has this one class and nothing \
else, such as {example}. If the answer chooses none of them, or is not clear, answer []."""


def choice_prompt(classes: Sequence[str]) -> str:
    """The prompt, with the placeholder for the response.

    >>> choice_prompt(["hesitant", "certain"]).count("{response}")
    1
    """
    filled = _PROMPT.replace("{classes}", ", ".join(classes)).replace("{example}", json.dumps([classes[0]]))
    return filled
