"""The library that both functions ship.

A map, in the order in which imports may point: a module imports only from lines below its own, and
`tests/unit/test_imports.py` holds it.

    composition                       puts the parts together from the settings
    ingest, delivery, report, page    the use cases: keep a record, deliver what is due, show it
    maintenance                       and clean up behind all of them
    dispatch                          one call at work: reads pages, has them delivered in order, sums up
    courier                           one record's delivery: token, place, request, outcome
    metrics, notices                  what Monitoring and the operators are told of a call
    observed                          what one call saw
    orders                            what a call to /process or /process/retry asks for
    leases, fan_out                   who works where; how others are started to share a backlog
    intake, lanes, bounds, outcomes   what is read next, order within keys, how much at once, grouped writes
    access_tokens                     tokens got with OAuth 2.0 client credentials, sent along
    collection, sender, archive       records in SODA; HTTP requests to targets; the archive's objects
    signing                           signatures of requests
    vault                             tokens in OCI Vault
    tallies                           how many records ended how, by the hour
    notes                             small documents beside the records
    database, oci_clients             the two drivers: oracledb (or what the DSN names) and the oci SDK
    edge                              the FDK's request and response
    hub                               batches of a Stream's messages, as Connector Hub sends them
    inbound, retry, telemetry         what may come in; what a failure means; what an operator reads
    record, replies                   the record and its states; results and errors as a caller reads them
    credentials                       what a secret holds: a token, or client credentials
    settings                          what the operator set
    allowlist, jsontext, rules        which targets; JSON as text and back; what of a record is sent
    errors                            the error tree
"""

VERSION = "0.1.0"
