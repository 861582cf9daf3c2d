"""Refunds: asked, answered, decided, given back by the channel and followed to their end."""
