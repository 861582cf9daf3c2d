"""Reconciliation: the engine alone, and what is built on it."""
