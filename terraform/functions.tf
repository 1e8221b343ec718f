resource "oci_artifacts_container_repository" "this" {
  for_each       = var.make_repositories ? local.functions : []
  compartment_id = var.compartment_ocid
  display_name   = "${var.name}/${each.key}"
  is_public      = false
  is_immutable   = true # a tag stays with its image: what runs is what was checked
  freeform_tags  = local.tags
}

resource "oci_apm_apm_domain" "this" {
  count          = var.tracing ? 1 : 0
  compartment_id = var.compartment_ocid
  display_name   = var.name
  description    = "Traces of OCI Data Sync"
  freeform_tags  = local.tags

  lifecycle {
    create_before_destroy = true # the application lets go of it first
  }
}

resource "oci_functions_application" "this" {
  compartment_id             = var.compartment_ocid
  display_name               = var.shape == "GENERIC_X86" ? var.name : "${var.name}-arm" # one of each shape can be there
  shape                      = var.shape
  subnet_ids                 = [local.private_subnet]
  network_security_group_ids = [local.groups["functions"]]
  freeform_tags              = local.tags
  depends_on                 = [oci_identity_policy.tracing]

  # Read by both functions; 4 KB in all [OCI Functions, limits], which a test holds.
  config = merge(
    local.settings,
    {
      DATABASE_DSN                  = local.database_dsn
      DATABASE_USER                 = var.database_user
      DATABASE_PASSWORD_SECRET_OCID = oci_vault_secret.password["schema"].id
      VAULT_OCID                    = local.vaults["tokens"]
      VAULT_KEY_OCID                = local.keys["tokens"]
      VAULT_COMPARTMENT_OCID        = var.compartment_ocid
      ALLOWED_TARGETS               = join(",", var.allowed_targets)
      NOTIFICATION_TOPIC_OCID       = oci_ons_notification_topic.operators.id
      METRICS_NAMESPACE             = local.metrics_namespace
      ARCHIVE_BUCKET                = oci_objectstorage_bucket.archive.name
      ARCHIVE_AFTER                 = "${var.archive_after_days}d"
    },
    var.token_keys_url == null ? {} : { SCOPE_PREFIX = var.scope_prefix },
    var.signing_secret_ocid == null ? {} : { SIGNING_SECRET_OCID = var.signing_secret_ocid },
  )

  # Always written: what is left out stays as it was.
  trace_config {
    domain_id  = one(oci_apm_apm_domain.this[*].id)
    is_enabled = var.tracing
  }

  lifecycle {
    precondition {
      condition     = local.database_dsn != null
      error_message = "The database has no connection by TLS without a wallet: set its is_mtls_connection_required to false."
    }
    precondition {
      condition     = (var.database_admin_secret_ocid == null) == local.own_database
      error_message = "Give both of database_ocid and database_admin_secret_ocid, or neither."
    }
    precondition {
      condition     = alltrue([for use, vault in local.given_vaults : (vault == null) == (local.given_keys[use] == null)])
      error_message = "Give both of tokens_vault_ocid and tokens_key_ocid, or neither; likewise of system_vault_ocid and system_key_ocid."
    }
    precondition {
      condition     = var.tokens_vault_ocid == null || var.tokens_vault_ocid != var.system_vault_ocid
      error_message = "Give two vaults: callers name secrets in the one of tokens, and system secrets must not be there."
    }
  }
}

resource "oci_functions_function" "this" {
  for_each                         = local.functions
  application_id                   = oci_functions_application.this.id
  display_name                     = each.key
  image                            = "${local.repositories[each.key]}:${var.image_tag}"
  memory_in_mbs                    = each.key == "process-data" ? var.process_data_memory_in_mbs : var.store_data_memory_in_mbs
  timeout_in_seconds               = each.key == "process-data" ? 300 : 30
  detached_mode_timeout_in_seconds = each.key == "process-data" ? 3600 : 300 # maintenance may take long
  freeform_tags                    = local.tags
  depends_on                       = [oci_artifacts_container_repository.this]

  lifecycle {
    precondition {
      condition     = each.key != "store-data" || var.warm_stores % lookup({ 128 = 40, 256 = 20 }, var.store_data_memory_in_mbs, 10) == 0
      error_message = "Functions keeps warm multiples of 40 with 128 MB, of 20 with 256 MB, of 10 with more: correct warm_stores."
    }
  }

  provisioned_concurrency_config {
    strategy = each.key == "store-data" && var.warm_stores > 0 ? "CONSTANT" : "NONE"
    count    = each.key == "store-data" && var.warm_stores > 0 ? var.warm_stores : null
  }

  trace_config {
    is_enabled = var.tracing
  }
}
