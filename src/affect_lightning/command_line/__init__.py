"""The `affect-lightning` program. `program.py` is its entry; each command has its own file."""
