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
}

resource "oci_functions_application" "this" {
  compartment_id             = var.compartment_ocid
  display_name               = var.name
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
      DATABASE_USER                 = "DATASYNC"
      DATABASE_PASSWORD_SECRET_OCID = oci_vault_secret.password["schema"].id
      VAULT_OCID                    = oci_kms_vault.this["tokens"].id
      VAULT_KEY_OCID                = oci_kms_key.this["tokens"].id
      VAULT_COMPARTMENT_OCID        = var.compartment_ocid
      ALLOWED_TARGETS               = join(",", var.allowed_targets)
      NOTIFICATION_TOPIC_OCID       = oci_ons_notification_topic.operators.id
      METRICS_NAMESPACE             = local.metrics_namespace
      ARCHIVE_BUCKET                = oci_objectstorage_bucket.archive.name
      ARCHIVE_AFTER                 = "${var.archive_after_days}d"
    },
    var.rules == "" ? {} : { RULES = jsonencode(jsondecode(var.rules)) },
    var.signing_secret_ocid == null ? {} : { SIGNING_SECRET_OCID = var.signing_secret_ocid },
  )

  dynamic "trace_config" {
    for_each = oci_apm_apm_domain.this[*].id
    content {
      domain_id  = trace_config.value
      is_enabled = true
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

  dynamic "trace_config" {
    for_each = var.tracing ? [1] : []
    content {
      is_enabled = true
    }
  }
}
