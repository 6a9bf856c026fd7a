"""Describing: models of others are asked about clips; their answers are kept as they come and written as predictions.

Paper: Table 9 (fifteen systems of others on MER-UniBench) and Section 2.1 (models that write cues). The parts that are
asked are plugins with the contracts of `contracts.describers`; those that need the core are here (`import`, `affectgpt`).
"""
