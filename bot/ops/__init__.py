"""What operators look at: probes and metrics."""
