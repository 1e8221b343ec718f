# An Autonomous JSON Database at a private address, reached by TLS without a wallet; or one that is there.

resource "oci_database_autonomous_database" "this" {
  count                                = local.own_database ? 1 : 0
  compartment_id                       = var.compartment_ocid
  display_name                         = var.name
  db_name                              = substr(replace(var.name, "-", ""), 0, 14)
  db_workload                          = "AJD"
  db_version                           = var.database_version
  compute_model                        = "ECPU"
  compute_count                        = var.database_ecpus
  data_storage_size_in_gb              = var.database_storage_gb
  is_auto_scaling_enabled              = var.database_auto_scaling
  is_auto_scaling_for_storage_enabled  = true
  license_model                        = "LICENSE_INCLUDED"
  secret_id                            = local.admin_password_secret
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

data "oci_database_autonomous_database" "given" {
  count                  = local.own_database ? 0 : 1
  autonomous_database_id = var.database_ocid
}

locals {
  own_database          = var.database_ocid == null
  database              = local.own_database ? one(oci_database_autonomous_database.this[*].id) : var.database_ocid
  database_compartment  = local.own_database ? var.compartment_ocid : one(data.oci_database_autonomous_database.given[*].compartment_id)
  database_address      = local.own_database ? "" : try(coalesce(one(data.oci_database_autonomous_database.given[*].private_endpoint_ip)), "")
  admin_password_secret = local.own_database ? oci_vault_secret.password["admin"].id : var.database_admin_secret_ocid

  # Of the services, "TP" is meant for many short transactions.
  database_dsn = try([
    for profile in flatten(concat(
      oci_database_autonomous_database.this[*].connection_strings[*].profiles,
      data.oci_database_autonomous_database.given[*].connection_strings[*].profiles,
    )) : profile.value
    if profile.tls_authentication == "SERVER" && profile.consumer_group == "TP" && profile.syntax_format == "LONG" && profile.host_format == "FQDN"
  ][0], null)
}

# The schema user: process-data makes it as ADMIN, whose password it may read for two hours and never again. Another
# database, user or process-data, or another password of the user in the vault, lets it do so once more.

resource "terraform_data" "provisioned" {
  triggers_replace = {
    database = local.database
    user     = var.database_user
    password = oci_vault_secret.password["schema"].current_version_number
    function = local.process_data
  }
}

resource "oci_identity_policy" "provisioning" {
  provider       = oci.home
  compartment_id = var.compartment_ocid
  name           = "${var.name}-provisioning-${substr(terraform_data.provisioned.id, 0, 8)}" # the next is there before it goes
  description    = "Lets process-data of OCI Data Sync make its schema user, for two hours"
  statements = [
    "allow dynamic-group ${local.process_group} to read secret-bundles ${local.here} where all {target.secret.id = '${local.admin_password_secret}', request.utc-timestamp before '${formatdate("YYYY-MM-DD'T'hh:mm'Z'", timeadd(plantimestamp(), "2h"))}'}",
  ]
  freeform_tags = local.tags
  depends_on    = [oci_identity_dynamic_group.this]

  lifecycle {
    ignore_changes       = [statements]
    replace_triggered_by = [terraform_data.provisioned]
  }
}

resource "oci_functions_invoke_function" "provisioning" {
  function_id          = local.process_data
  invoke_function_body = jsonencode({ task = "prepare", adminPasswordSecret = local.admin_password_secret })
  depends_on           = [oci_identity_policy.this, oci_core_network_security_group_security_rule.this]

  lifecycle {
    replace_triggered_by = [oci_identity_policy.provisioning.id] # another policy, with two hours of its own

    postcondition {
      condition     = !can(jsondecode(self.content).title)
      error_message = "The database is not prepared: ${self.content} Correct it, then: terraform -chdir=terraform apply -var image_tag=${var.image_tag} -replace=terraform_data.provisioned"
    }
  }
}
