"""The bill as files that people open: a workbook for spreadsheets, and CSV."""
