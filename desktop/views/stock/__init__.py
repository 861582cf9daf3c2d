"""What is in stock, by SKU, by lot, by card."""
