"""The server: storefront, checkout, payments, delivery, ledger and the API of the console."""
