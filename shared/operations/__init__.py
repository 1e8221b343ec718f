"""What operators run and read: maintenance, the report and its page, provisioning."""
