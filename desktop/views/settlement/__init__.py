"""What is due to suppliers, their statements and payouts."""
