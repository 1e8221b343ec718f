"""Terraform's own judgement of terraform/, with a stand-in for the provider and for OCI."""
