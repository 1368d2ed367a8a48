"""Speed and memory measured, each by one command that says what it measured on."""
