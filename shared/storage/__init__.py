"""What is kept: records and their queries, leases, counters in SODA; tokens in Vault."""
