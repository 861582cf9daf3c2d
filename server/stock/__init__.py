"""Card keys in stock: lots, units, the vault of secrets, claims and deliveries."""
