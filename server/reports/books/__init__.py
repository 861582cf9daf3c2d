"""The ledger as finance reads it."""
