"""Bringing in card keys: choose, check, import, see what became of every line."""
