"""The command line: what people type, and what they read. Decides nothing that the layers below decide."""
