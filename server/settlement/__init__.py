"""What suppliers earned: when it is due, the statements that release it once, and how it is paid out."""
