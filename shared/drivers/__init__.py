"""What speaks to the platform: database, OCI services, FDK, logs, threads. No rule of the product."""
