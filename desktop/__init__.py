"""The console: bulk import, stock, orders and reconciliation for suppliers, operators and finance."""
