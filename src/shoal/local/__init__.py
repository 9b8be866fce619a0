"""The local environment: a folder, SQLite, processes."""
