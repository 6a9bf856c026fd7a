"""First-party plugins, found only through entry points."""
