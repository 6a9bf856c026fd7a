"""Clip answers: a trained network asked about clips of one's own, in three lines of Python (ours).

`describing_network.py` is `affect_lightning.AffectGPT`, the network of `model` with `describe`; `described_clip.py` is what it
returns, `hub_folders.py` finds an exported folder by its name on a hub. Clips are read as `predict` reads them (`data`), and
responses are read as `predict` reads them (`unibench.scoring`). Importing this package imports none of them.
"""
