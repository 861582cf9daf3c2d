"""The business day and its workbook."""
