"""The library that both functions ship.

A map, in the order in which imports may point: a module imports only from lines below its own, and
`tests/unit/test_imports.py` holds it.

    composition                                  puts the parts together from the settings
    ingest, delivery, report, page, maintenance, preparation  the use cases
    dispatch                                     one call at work: pages, in order, summed up
    telling, archiving                           what operators are told of a call; batches to the archive
    turns                                        maintenance and deliveries share partitions
    courier, metrics, notices                    one record's delivery; metrics, messages
    observed                                     what one call saw
    orders                                       what a call to process-data asks for
    leases, fan_out                              who works where; how others are started to help
    intake, lanes, bounds, outcomes              what is read next, order, bounds, grouped writes
    access_tokens                                tokens got with OAuth 2.0 client credentials, sent along
    collection, sender, archive                  records in SODA; requests to targets; archived objects
    connections, selections                      HTTP to vetted addresses; which records
    indexes                                      what is indexed of records
    signing                                      signatures of these requests
    vault                                        tokens in OCI Vault
    tallies                                      how many records ended how, by the hour
    notes                                        small documents beside the records
    database, oci_clients                        the drivers: oracledb, or what the DSN names; oci
    edge                                         the FDK's request and response
    hub                                          a Stream's messages, as Connector Hub sends them
    inbound, retry, telemetry                    what may come in; failures' meaning; logs, traces
    record, replies                              the record's states; results and errors, as read
    credentials                                  what a secret holds: a token, or client credentials
    settings                                     what the operator set
    allowlist, exchange, jsontext, rules, values  which targets; request, answer; JSON; rules; values
    errors                                       the error tree
"""

VERSION = "0.1.0"
