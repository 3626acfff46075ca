"""Meters, periods and quantities as the trade knows them: standard library only, no files, no network."""
