"""The library that both functions ship. Imports point down, and none leads to a neighbour on its line:

    app                               puts the parts together from the settings
    ingest, delivery, operations      the use cases
    storage, outbound, monitoring     what they use: database and Vault, targets, what operators are shown
    drivers, settings                 oracledb, oci, the FDK; what the operator has set
    model                             records, targets, policies: values without I/O

A record's way in: `ingest/service.py` to `storage/records.py`. Its way out: `delivery/service.py`, through
`dispatcher`, `executor` and `outbound/` to the target, and back by `completer` to `storage/records.py`.
"""

VERSION = "0.1.0"
