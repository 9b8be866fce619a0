"""The command line as a user types it: every test runs the real `shoal` in a folder of its own."""
