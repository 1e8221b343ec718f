"""The OCI services that the bundle calls, as HTTP endpoints on this machine that the `oci` SDK talks to.

    app            puts the services together: one aiohttp application, and what every call passes through
    signatures     who is calling: OCI's request signing, checked against this machine's identity
    vault          secrets: create, read, list, update, schedule deletion
    secret_bundles reading a secret's content
    secret_store   where secrets are kept, encrypted
    secret_record  what is kept of a secret
    notifications  publishing to a topic
    monitoring     posting metrics
    functions      invoking a function, handed on to whoever runs functions
    object_storage buckets and objects
    object_store   where objects are kept
    faults         failures on demand
    calls          how often each operation was called
    admin          the operator's routes to these two
    journal        bounded files of what was published
    wire           what requests and answers of all services have in common

A service here answers in the real one's paths, shapes, status codes and error codes, so far as they are
documented; what is not offered is refused, never quietly ignored.
"""
