"""The payment channels."""
