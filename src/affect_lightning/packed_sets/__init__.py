"""Packed sets: a set's clips in shards of litdata's format, read from a folder or from S3-compatible storage.

Not in the paper, whose clips are in one folder. A million files are slow to list and to open, and a training machine
may have no space for them. `packing.py` writes. `layout.py` has the format and turns clips into bytes and back.
`shard_store.py` fetches shards, `data/dataset.py` reads from `packed_clips.py`, `packed_source.py` makes the splits,
and `shard_order.py` draws an order that needs few shards at a time. Importing this package imports none of them.
"""
