"""Packed sets: a set's clips in shards of litdata's format, read from a folder or from S3-compatible storage.

Not in the paper, whose clips lie in one folder; a million files are slow to list and to open, and a training machine may
have no room for them. `packing.py` writes, `layout.py` says what lies where and turns clips into bytes and
back, `shard_store.py` brings shards near, `packed_clips.py` is what `data/dataset.py` reads from, `packed_source.py` splits it
as clips in folders are split, `shard_order.py` draws an order that needs few shards at a time. Importing this package imports
none of them.
"""
