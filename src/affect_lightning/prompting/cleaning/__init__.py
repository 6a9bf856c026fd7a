"""What a response says to the question: without thoughts, chat marks, structure, an echoed question or a refusal.

Models answer in many dresses: they think aloud, write JSON or tables, repeat the question, or refuse. Paper: Section 4 and
Appendix E extract labels from free words, so every response passes `clean_response` before labels are read, in `test`, in
`score` and in every label extractor. `thoughts.py`, `structure.py` and `refusals.py` have the kinds;
`traditional_chinese.py` gives Chinese words one script. Standard library and `label_strings` only.
"""

from affect_lightning.prompting.cleaning.responses import KINDS, REFUSAL, CleanResponse, clean_response
from affect_lightning.prompting.cleaning.traditional_chinese import simplified

__all__ = ["KINDS", "REFUSAL", "CleanResponse", "clean_response", "simplified"]
