"""Orders of buyers: placed, paid, delivered, expired; each change by the state table."""
