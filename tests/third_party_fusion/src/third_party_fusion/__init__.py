"""A pre-fusion from outside affect-lightning."""
