"""The ledger: accounts, journals, adjustments and disputes."""
