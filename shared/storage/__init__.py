"""What is kept: records and their queries, leases, counters in SODA; tokens in Vault.

>>> from shared.storage.queries import ascending
>>> ascending("due")["path"]
'datasync.due'
"""
