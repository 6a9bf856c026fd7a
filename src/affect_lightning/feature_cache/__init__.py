"""The feature cache: what the frozen encoders give for each clip, kept on disk (paper, Section 3.1: Z_a and Z_v).

`affect-lightning cache` writes, `data.features: cached` reads. `identity.py` says which cache is which, `shards.py` has
the files on disk, `clip_encoding.py` makes entries, `cached_features.py` compares them with the data and reads them,
and the data module uses `source.py`. docs/feature_cache.md explains all of it.
"""
