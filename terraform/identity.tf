# Who may do what. Each function has a dynamic group of its own, so that store-data can't read what others keep,
# and process-data can't make secrets. Every statement names its target, where the service offers a variable for
# it: a topic has none, nor has an APM domain or a list of secrets.

locals {
  store_group   = "${var.name}-store-data"
  process_group = "${var.name}-process-data"
  here          = "in compartment id ${var.compartment_ocid}"

  tokens_vault = local.vaults["tokens"]
  tokens_key   = local.keys["tokens"]
  prefix       = lookup(local.settings, "SECRET_PREFIX", "datasync-")
  store_data   = oci_functions_function.this["store-data"].id
  process_data = oci_functions_function.this["process-data"].id

  statements = merge(
    {
      # The gateway calls the functions, with the two conditions that API Gateway documents and looks for: so may any
      # gateway of this compartment.
      "gateway calls functions" = "allow any-user to use functions-family ${local.here} where all {request.principal.type = 'ApiGateway', request.resource.compartment.id = '${var.compartment_ocid}'}"

      # Both functions read the password of the schema user, and no other system secret.
      "store-data reads the database's password"   = "allow dynamic-group ${local.store_group} to read secret-bundles ${local.here} where target.secret.id = '${oci_vault_secret.password["schema"].id}'"
      "process-data reads the database's password" = "allow dynamic-group ${local.process_group} to read secret-bundles ${local.here} where target.secret.id = '${oci_vault_secret.password["schema"].id}'"

      # Callers' tokens, by their prefix: store-data compares, process-data sends.
      "store-data reads tokens"   = "allow dynamic-group ${local.store_group} to read secret-bundles ${local.here} where all {target.vault.id = '${local.tokens_vault}', target.secret.name = /${local.prefix}*/}"
      "process-data reads tokens" = "allow dynamic-group ${local.process_group} to read secret-bundles ${local.here} where all {target.vault.id = '${local.tokens_vault}', target.secret.name = /${local.prefix}*/}"

      # store-data keeps new tokens, and asks for the state of one that can't be read yet. It changes and deletes
      # none.
      "store-data makes secrets"  = "allow dynamic-group ${local.store_group} to manage secrets ${local.here} where all {target.vault.id = '${local.tokens_vault}', request.permission = 'SECRET_CREATE'}"
      "store-data lists tokens"   = "allow dynamic-group ${local.store_group} to inspect secrets ${local.here} where request.operation = 'ListSecrets'"
      "store-data uses the vault" = "allow dynamic-group ${local.store_group} to use vaults ${local.here} where target.vault.id = '${local.tokens_vault}'"
      "store-data uses the key"   = "allow dynamic-group ${local.store_group} to use keys ${local.here} where target.key.id = '${local.tokens_key}'"

      # With FAN_OUT process-data finds its own endpoint, and starts others of itself.
      "process-data finds itself"  = "allow dynamic-group ${local.process_group} to read fn-function ${local.here} where target.function.id = '${local.process_data}'"
      "process-data starts others" = "allow dynamic-group ${local.process_group} to use fn-invocation ${local.here} where target.function.id = '${local.process_data}'"
    },
    {
      # What a call tells: metrics in its own namespace, messages to the operators' topic.
      "process-data posts metrics"      = "allow dynamic-group ${local.process_group} to use metrics ${local.here} where target.metrics.namespace = '${local.metrics_namespace}'"
      "process-data notifies operators" = "allow dynamic-group ${local.process_group} to use ons-topics ${local.here} where request.operation = 'PublishMessage'"

      # Maintenance: it puts archives into one bucket and can't delete there; of callers' tokens it lists all, and
      # deletes idle ones, or takes that back. It can't change any.
      "process-data archives"            = "allow dynamic-group ${local.process_group} to manage objects ${local.here} where all {target.bucket.name = '${var.name}-archive', request.operation = 'PutObject'}"
      "process-data lists tokens"        = "allow dynamic-group ${local.process_group} to inspect secrets ${local.here} where request.operation = 'ListSecrets'"
      "process-data deletes idle tokens" = "allow dynamic-group ${local.process_group} to manage secrets ${local.here} where all {target.vault.id = '${local.tokens_vault}', target.secret.name = /${local.prefix}*/, request.operation = 'ScheduleSecretDeletion'}"
      "process-data keeps tokens"        = "allow dynamic-group ${local.process_group} to manage secrets ${local.here} where all {target.vault.id = '${local.tokens_vault}', target.secret.name = /${local.prefix}*/, request.operation = 'CancelSecretDeletion'}"
    },
    # The keys that sign deliveries.
    var.signing_secret_ocid == null ? {} : {
      "process-data reads signing keys" = "allow dynamic-group ${local.process_group} to read secret-bundles ${local.here} where target.secret.id = '${var.signing_secret_ocid}'"
    },
    # Resource Scheduler looks process-data up, and calls it.
    { for key, schedule in oci_resource_scheduler_schedule.this : "schedule ${key} finds process-data" => "allow any-user to read functions-family ${local.here} where all {request.principal.type = 'resourceschedule', request.principal.id = '${schedule.id}', target.function.id = '${local.process_data}'}" },
    { for key, schedule in oci_resource_scheduler_schedule.this : "schedule ${key} calls process-data" => "allow any-user to use fn-invocation ${local.here} where all {request.principal.type = 'resourceschedule', request.principal.id = '${schedule.id}', target.function.id = '${local.process_data}'}" },
    # Connector Hub reads one Stream and calls store-data.
    local.has_stream ? {
      "connector reads the Stream" = "allow any-user to {STREAM_READ, STREAM_CONSUME} ${local.here} where all {request.principal.type = 'serviceconnector', target.stream.id = '${local.stream}', request.principal.compartment.id = '${var.compartment_ocid}'}"
      "connector calls store-data" = "allow any-user to use fn-invocation ${local.here} where all {request.principal.type = 'serviceconnector', target.function.id = '${local.store_data}', request.principal.compartment.id = '${var.compartment_ocid}'}"
      "connector finds store-data" = "allow any-user to use fn-function ${local.here} where all {request.principal.type = 'serviceconnector', target.function.id = '${local.store_data}', request.principal.compartment.id = '${var.compartment_ocid}'}"
    } : {},
  )
}

# Object Storage itself encrypts the archive with our key, and moves and deletes what its life-cycle rules say.
resource "oci_identity_policy" "object_storage" {
  provider       = oci.home
  compartment_id = var.compartment_ocid
  name           = "${var.name}-object-storage"
  description    = "What Object Storage needs for the archive of OCI Data Sync"
  freeform_tags  = local.tags
  statements = [
    "allow service objectstorage-${var.region} to manage object-family ${local.here} where all {target.bucket.name = '${var.name}-archive', any {request.permission = 'BUCKET_INSPECT', request.permission = 'BUCKET_READ', request.permission = 'OBJECT_INSPECT', request.permission = 'OBJECT_UPDATE_TIER', request.permission = 'OBJECT_DELETE', request.permission = 'OBJECT_VERSION_DELETE'}}",
    "allow service objectstorage-${var.region} to use keys ${local.here} where target.key.id = '${local.keys["system"]}'",
  ]
}

# The Functions service itself writes the traces.
resource "oci_identity_policy" "tracing" {
  count          = var.tracing ? 1 : 0
  provider       = oci.home
  compartment_id = var.compartment_ocid
  name           = "${var.name}-tracing"
  description    = "What the Functions service needs to trace OCI Data Sync"
  freeform_tags  = local.tags
  statements     = ["allow service faas to use apm-domains ${local.here}"]
}

resource "oci_identity_dynamic_group" "this" {
  provider       = oci.home
  for_each       = { (local.store_group) = local.store_data, (local.process_group) = local.process_data }
  compartment_id = var.tenancy_ocid
  name           = each.key
  description    = "A function of OCI Data Sync"
  matching_rule  = "ALL {resource.type = 'fnfunc', resource.id = '${each.value}'}"
  freeform_tags  = local.tags
}

resource "oci_identity_policy" "this" {
  provider       = oci.home
  compartment_id = var.compartment_ocid
  name           = var.name
  description    = "What OCI Data Sync needs, and nothing more"
  statements     = values(local.statements)
  freeform_tags  = local.tags
  depends_on     = [oci_identity_dynamic_group.this]
}
