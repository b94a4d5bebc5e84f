"""The in-process model server: messages in, text out. Knows nothing of platforms, storage or training."""
