"""Stand-ins for what the cloud has: SODA, OCI services, Functions, API Gateway; and a target to send to."""
