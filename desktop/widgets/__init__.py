"""Reusable widgets of the console. They know tokens and words, never a server, a store or a screen."""
