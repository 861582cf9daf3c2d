"""What is for sale: categories, products and their SKUs. Suppliers draft, an operator publishes."""
