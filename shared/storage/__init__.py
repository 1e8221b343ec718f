"""What is stored: records with their queries, leases and counters in SODA, tokens in Vault."""
