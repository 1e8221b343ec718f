"""The library that both functions ship.

A map, in the order in which imports may point (a module imports only from lines below its own;
`tests/unit/test_imports.py` holds it):

    ingest, delivery, report      the use cases: keep a record, deliver what is due, count
    collection, leases            the records and who works on them, in SODA
    vault, sender                 tokens in OCI Vault; HTTP requests to targets
    database, oci_clients         the two drivers: oracledb (or what the DSN names) and the oci SDK
    retry, allowlist, replies     rules and shapes: what failure means, which targets, what a caller reads
    record                        the record: every inbound shape, its states, its wire form
    settings, telemetry           what the operator set; what the operator reads
    jsontext, errors              JSON as text and back; the error tree
"""
