resource "oci_ons_notification_topic" "operators" {
  compartment_id = var.compartment_ocid
  name           = "${var.name}-operators"
  description    = "Tells operators of failures"
  freeform_tags  = local.tags
}

resource "oci_ons_subscription" "operators" {
  for_each       = toset(var.notification_emails)
  compartment_id = var.compartment_ocid
  topic_id       = oci_ons_notification_topic.operators.id
  protocol       = "EMAIL"
  endpoint       = each.key
  freeform_tags  = local.tags
}

locals {
  in_application = "resourceId =~ \"${local.store_data}|${local.process_data}\""
  alarms = {
    "dead-records" = {
      namespace = local.metrics_namespace
      query     = "dead[5m].sum() > 0"
      severity  = "WARNING"
      body      = "Records are dead: nothing retries them by itself. GET /process shows them and replays them."
    }
    "failures" = {
      namespace = local.metrics_namespace
      query     = "failed[15m].sum() > ${var.alarm_failures}"
      severity  = "WARNING"
      body      = "More attempts than usual failed: GET /process shows the codes and targets."
    }
    "oldest-due" = {
      namespace = local.metrics_namespace
      query     = "oldest_due_seconds[5m].max() > ${60 * var.alarm_due_minutes}"
      severity  = "CRITICAL"
      body      = "Records wait longer than they should: process-data is not called, cannot keep up, or a target is down."
    }
    "silence" = {
      namespace = local.metrics_namespace
      # Missing for the whole interval; notified for three days at most, which is the longest interval allowed.
      query    = "backlog[${var.process_every_minute ? "15m" : "3h"}].groupBy(collection).absent(3d)"
      severity = "CRITICAL"
      body     = "process-data has posted no metrics: it is not called, or fails at once."
    }
    "function-errors" = {
      namespace = "oci_faas"
      query     = "FunctionResponseCount[5m]{responseType = \"Error\", ${local.in_application}}.sum() > 0"
      severity  = "WARNING"
      body      = "A function failed or timed out; its log says why."
    }
    "function-throttles" = {
      namespace = "oci_faas"
      query     = "FunctionResponseCount[5m]{responseType = \"Throttled\", ${local.in_application}}.sum() > 0"
      severity  = "WARNING"
      body      = "Functions asked for more memory than the tenancy's limit: callers get 429 or 503, records are not lost."
    }
    "gateway-failures" = {
      namespace = "oci_apigateway"
      query     = "HttpResponses[5m]{resourceId = \"${oci_apigateway_gateway.this.id}\", httpStatusCategory = \"5xx\"}.sum() > 0"
      severity  = "WARNING"
      body      = "Callers got 5xx: the database or Vault can't be reached, or a function fails."
    }
  }
}

resource "oci_monitoring_alarm" "this" {
  for_each                     = local.alarms
  compartment_id               = var.compartment_ocid
  metric_compartment_id        = var.compartment_ocid
  display_name                 = "${var.name}-${each.key}"
  namespace                    = each.value.namespace
  query                        = each.value.query
  severity                     = each.value.severity
  body                         = each.value.body
  destinations                 = [oci_ons_notification_topic.operators.id]
  repeat_notification_duration = "PT1H"
  pending_duration             = "PT1M" # what happened once is seen once: it would not last for longer
  message_format               = "ONS_OPTIMIZED"
  is_enabled                   = true
  freeform_tags                = local.tags
}

resource "oci_logging_log_group" "this" {
  compartment_id = var.compartment_ocid
  display_name   = var.name
  freeform_tags  = local.tags
}

resource "oci_logging_log" "this" {
  for_each = {
    functions         = ["functions", "invoke", oci_functions_application.this.id]
    gateway-access    = ["apigateway", "access", oci_apigateway_deployment.this.id]
    gateway-execution = ["apigateway", "execution", oci_apigateway_deployment.this.id]
  }
  log_group_id       = oci_logging_log_group.this.id
  display_name       = "${var.name}-${each.key}"
  log_type           = "SERVICE"
  is_enabled         = true
  retention_duration = var.log_retention_days
  freeform_tags      = local.tags

  configuration {
    compartment_id = var.compartment_ocid
    source {
      source_type = "OCISERVICE"
      service     = each.value[0]
      category    = each.value[1]
      resource    = each.value[2]
    }
  }
}
