"""The feature cache: what the frozen encoders give for each clip, kept on disk (paper, Section 3.1: Z_a and Z_v).

`affect-lightning cache` writes, `data.features: cached` reads. `identity.py` says what a cache is, `shards.py` how
it lies on disk, `clip_encoding.py` makes entries, `cached_features.py` compares them with the data and reads them, `source.py`
is what the data module holds. docs/feature_cache.md explains the whole.
"""
