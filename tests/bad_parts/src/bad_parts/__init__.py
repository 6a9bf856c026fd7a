"""Plugins that break their contracts, one promise each."""
