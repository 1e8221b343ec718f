"""What talks to the platform: database, OCI services, FDK, logs, threads. None of the product's rules."""
