"""The dashboard: an environment in the browser, served on the user's own machine."""
