"""Classifiers that are trained on human labels and then vote: the members of a crowd of our own.

Paper: Section 2, "model-based crowd-sourcing" (several multimodal classifiers, trained on human-labelled sets, predict
emotion and sentiment of every clip), guided by MERBench (arXiv 2401.03429). `labelled_clips.py` reads the sets,
`clip_features.py` and `text_features.py` give one vector a clip and modality, `attention_fusion.py` is the network,
`fitting.py` trains one, `validation.py` cross-validates it, `member_plans.py` says who is in the crowd, `training.py`
makes the crowd, `saved_crowd.py` keeps it, and `stage.py` lets it vote. `votes.py` of the folder above decides.
"""
