"""Inspection: what is wrong with a set of clips, before anything is trained on it (`affect-lightning doctor`).

Not in the paper; Appendix C and Table 11 say what a set must have. `annotations.py` finds the sets in a folder and
checks their tables. `clip_checks.py` reads clips as training would, in the processes of `fault_tolerant_pool.py`, keeps
what was found and draws the conclusions. `findings.py` has the words for them. `corpora` and `data` do the reading.
"""
