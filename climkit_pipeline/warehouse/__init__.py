"""The warehouse: what changed in the lake, the SQL models that follow it, the published file, and queries on it."""
