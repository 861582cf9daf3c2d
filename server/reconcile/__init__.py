"""Reconciliation: a channel's business day against its bills, what differs, and the signed day."""
