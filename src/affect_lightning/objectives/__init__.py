"""Objectives: what training minimises, chosen by name like a plugin (`model.objective`, group `objectives`).

`response.py` is the paper's. `group_relative.py` rewards sampled responses: `answer_modes.py` has what is asked,
`reward_sum.py` the rewards, `policy_loss.py` the arithmetic.
"""
