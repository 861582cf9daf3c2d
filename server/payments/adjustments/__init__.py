"""Journals that one person proposes and another one posts."""
