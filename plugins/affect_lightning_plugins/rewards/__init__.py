"""Rewards (plugin group `affect_lightning.rewards`): how good a sampled response is, for training on the metric itself."""
