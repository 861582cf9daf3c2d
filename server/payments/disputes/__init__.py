"""Complaints and chargebacks at a channel: the suppliers' shares are frozen until two people close them."""
