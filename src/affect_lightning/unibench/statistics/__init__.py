"""Statistics of the scores: what each clip adds to them, bootstrap intervals, and paired tests between models."""
