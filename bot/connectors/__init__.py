"""Our sides of the platforms. Each reaches the store through the service only."""
