"""Double entry: immutable transfers between accounts, and the balances they make."""
