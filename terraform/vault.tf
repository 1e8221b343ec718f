# Two vaults: a name that a caller gives can't lead to a system secret, since that is in another vault. Each is made,
# or is one that is there.

locals {
  given_vaults = { tokens = var.tokens_vault_ocid, system = var.system_vault_ocid }
  given_keys   = { tokens = var.tokens_key_ocid, system = var.system_key_ocid }
  vaults       = { for use, given in local.given_vaults : use => given == null ? oci_kms_vault.this[use].id : given }
  keys         = { for use, given in local.given_vaults : use => given == null ? oci_kms_key.this[use].id : local.given_keys[use] }
}

data "oci_kms_vault" "given" {
  for_each = { for use, vault in local.given_vaults : use => vault if vault != null }
  vault_id = each.value

  lifecycle {
    postcondition {
      condition     = self.compartment_id == var.compartment_ocid
      error_message = "The vault of ${each.key} is in another compartment: policies of this one, ${var.compartment_ocid}, don't reach it."
    }
  }
}

resource "oci_kms_vault" "this" {
  for_each       = { for use, vault in local.given_vaults : use => use == "tokens" ? "callers' tokens" : "system secrets" if vault == null }
  compartment_id = var.compartment_ocid
  display_name   = "${var.name}-${each.key}"
  vault_type     = var.vault_type
  freeform_tags  = merge(local.tags, { "holds" = each.value })

  lifecycle {
    ignore_changes = [vault_type] # another would be another vault, without what is in this one
  }
}

resource "oci_kms_key" "this" {
  for_each            = oci_kms_vault.this
  compartment_id      = var.compartment_ocid
  display_name        = "${var.name}-${each.key}"
  management_endpoint = each.value.management_endpoint
  protection_mode     = "SOFTWARE"
  freeform_tags       = local.tags

  # Written wherever there can be a rotation, since what is left out stays as it was.
  is_auto_rotation_enabled = each.value.vault_type == "DEFAULT" ? null : var.key_rotation_days != null

  key_shape {
    algorithm = "AES"
    length    = 32
  }

  dynamic "auto_key_rotation_details" {
    for_each = var.key_rotation_days == null ? [] : [var.key_rotation_days]
    content {
      rotation_interval_in_days = auto_key_rotation_details.value
    }
  }

  lifecycle {
    precondition {
      condition     = var.key_rotation_days == null || each.value.vault_type == "VIRTUAL_PRIVATE"
      error_message = "OCI rotates keys of virtual private vaults only, and the vault of ${each.key} is none: leave key_rotation_days out, or make the deployment with vault_type = \"VIRTUAL_PRIVATE\"."
    }
  }
}

# Passwords are made in the vault: Terraform's state holds their OCIDs, and never them.
resource "oci_vault_secret" "password" {
  for_each               = merge({ schema = "the functions' schema user" }, local.own_database ? { admin = "the database's ADMIN" } : {})
  compartment_id         = var.compartment_ocid
  vault_id               = local.vaults["system"]
  key_id                 = local.keys["system"]
  secret_name            = "database-${each.key}-${var.name}" # no SECRET_PREFIX leads to it, in whatever vault
  description            = "Password of ${each.value}"
  enable_auto_generation = true
  freeform_tags          = local.tags

  secret_generation_context {
    generation_type     = "PASSPHRASE"
    generation_template = "DBAAS_DEFAULT_PASSWORD"
  }
}
