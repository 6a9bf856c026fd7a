"""The generated corpus: talking-head clips with known emotions, in the official folder layouts.

Stands in for MER-Caption+ and MER-UniBench (paper, Sections 2 and 4) on machines without the licensed data. `authoring`
decides what every clip is, `performing` draws and speaks it, `layouts` writes the annotations, `priors` computes the
best reachable scores, and `generation.generate_sandbox` runs all of it.
"""
