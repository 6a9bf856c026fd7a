"""The two prompts of the label extractor `qwen2.5-released`: in the manner of the authors' code, in words of our own.

Their prompts show two worked examples a step, say who the main character is, and want the words as a list without
quotation marks (docs/label_extractors.md). Neighbour: `label_extraction.py`, the prompts of the other extractors.
"""

from __future__ import annotations

from affect_lightning.prompting.label_extraction import ExtractionPrompts

RELEASED_LABELS_PROMPT = """\
You are well versed in human emotions. Each input is a note about a video. Collect the words for what the main \
character of the video feels. Where the note speaks of several people, the main character is the one whom it describes \
in most detail. Keep the note's own words for feelings where you can, and add none that it does not state or conclude. \
Write the words in square brackets, with commas between them and without quotation marks. Write [] if there is no \
feeling in the note.

Input: Her voice trembles at first and she keeps looking at the door. When the news comes she laughs out loud. She was \
anxious, and now she is relieved and overjoyed.
Output: [anxious, relieved, overjoyed]

Input: He answers in a flat tone and looks past the others. The woman beside him seems to enjoy the talk. He, though, is \
bored and slightly annoyed, which his short answers confirm.
Output: [bored, slightly annoyed]

Input: {response}
Output:"""

RELEASED_SENTIMENT_PROMPT = """\
You are well versed in human emotions. Each input is a list of words for what one person feels. Say which sentiment the \
list has as a whole: positive, negative or neutral. Write that one word and nothing else.

Input: [hopeful, delighted]
Output: positive

Input: [tired, resentful, ashamed]
Output: negative

Input: [{labels}]
Output:"""

RELEASED_PROMPTS = ExtractionPrompts(RELEASED_LABELS_PROMPT, RELEASED_SENTIMENT_PROMPT)
