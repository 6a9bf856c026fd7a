"""Objectives: what training minimises, chosen by name like a plugin (`model.objective`, group `objectives`).

`response.py` is the paper's. An objective that rewards sampled responses belongs next to it.
"""
