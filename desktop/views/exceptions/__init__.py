"""Money and orders that need a person."""
