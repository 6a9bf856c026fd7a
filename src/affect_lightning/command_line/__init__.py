"""The `affect-lightning` program. `program.py` is its entry; each command stands in a file of its own."""
