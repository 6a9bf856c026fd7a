"""Objectives: what training makes small, chosen by name as plugins are (`model.objective`, group `objectives`).

`response.py` is the paper's. One that rewards sampled responses has its place beside it.
"""
