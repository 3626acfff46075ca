"""The user's own files in ``config/``: what a line may say, reading and checking them, and adding a decision."""
