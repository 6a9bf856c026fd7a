"""Scoring: saved outputs and responses in, scores of sets and suites out, with what came of each clip.

`predictions.py` keeps the responses of a test, `prediction_files.py` and `suites.py` read saved outputs of any model;
`set_scoring.py` scores, `suite_scoring.py` joins outputs with truths and scores whole suites; `scores.py` is the result.
Importing this package imports nothing heavy; take the names from its modules.
"""
