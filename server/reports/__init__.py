"""The business day as finance exports it. Reads other domains' tables, writes none."""
