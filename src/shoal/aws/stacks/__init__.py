"""What `shoal deploy` and `shoal destroy` know of templates, change sets and stacks."""
