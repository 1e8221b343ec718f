"""What runs the bundle on one machine: the services that the cloud would be, and the operator's commands."""
