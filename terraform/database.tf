# An Autonomous JSON Database at a private address, reached by TLS without a wallet.

resource "oci_database_autonomous_database" "this" {
  compartment_id                       = var.compartment_ocid
  display_name                         = var.name
  db_name                              = substr(replace(var.name, "-", ""), 0, 14)
  db_workload                          = "AJD"
  db_version                           = "23ai"
  compute_model                        = "ECPU"
  compute_count                        = var.database_ecpus
  data_storage_size_in_gb              = var.database_storage_gb
  is_auto_scaling_enabled              = var.database_auto_scaling
  is_auto_scaling_for_storage_enabled  = true
  license_model                        = "LICENSE_INCLUDED"
  secret_id                            = oci_vault_secret.password["admin"].id
  is_mtls_connection_required          = false
  subnet_id                            = local.private_subnet
  nsg_ids                              = [local.groups["database"]]
  private_endpoint_label               = "database"
  autonomous_maintenance_schedule_type = "REGULAR"
  freeform_tags                        = local.tags

  lifecycle {
    ignore_changes = [db_version] # upgraded by the service
  }
}

locals {
  # Of the services, "TP" is meant for many short transactions.
  database_dsn = one([
    for profile in flatten(oci_database_autonomous_database.this.connection_strings[*].profiles) : profile.value
    if profile.tls_authentication == "SERVER" && profile.consumer_group == "TP" && profile.syntax_format == "LONG"
  ])
}
