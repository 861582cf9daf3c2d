"""Payment attempts, channel callbacks and exceptions; `apply` is the single writer of received money."""
