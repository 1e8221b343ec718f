# Two vaults: a name that a caller gives can't lead to a system secret, since that is in another vault.

resource "oci_kms_vault" "this" {
  for_each       = { tokens = "callers' tokens", system = "system secrets" }
  compartment_id = var.compartment_ocid
  display_name   = "${var.name}-${each.key}"
  vault_type     = "DEFAULT"
  freeform_tags  = merge(local.tags, { "holds" = each.value })
}

resource "oci_kms_key" "this" {
  for_each            = oci_kms_vault.this
  compartment_id      = var.compartment_ocid
  display_name        = "${var.name}-${each.key}"
  management_endpoint = each.value.management_endpoint
  protection_mode     = "SOFTWARE"
  freeform_tags       = local.tags

  key_shape {
    algorithm = "AES"
    length    = 32
  }
}

# Passwords are made in the vault: Terraform's state holds their OCIDs, and never them.
resource "oci_vault_secret" "password" {
  for_each               = { admin = "the database's ADMIN", schema = "the functions' schema user" }
  compartment_id         = var.compartment_ocid
  vault_id               = oci_kms_vault.this["system"].id
  key_id                 = oci_kms_key.this["system"].id
  secret_name            = "database-${each.key}-${var.name}" # no SECRET_PREFIX leads to it, in whatever vault
  description            = "Password of ${each.value}"
  enable_auto_generation = true
  freeform_tags          = local.tags

  secret_generation_context {
    generation_type     = "PASSPHRASE"
    generation_template = "DBAAS_DEFAULT_PASSWORD"
  }
}
