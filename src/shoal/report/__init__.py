"""What happened, and what happens: spans, figures, charts, and the live view of an environment."""
