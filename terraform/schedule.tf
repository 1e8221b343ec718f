# What calls process-data: every minute an alarm that always fires, through a topic of its own; else, hourly,
# Resource Scheduler, whose shortest interval is an hour. Once a day it calls for maintenance.

resource "oci_ons_notification_topic" "clock" {
  count          = var.process_every_minute ? 1 : 0
  compartment_id = var.compartment_ocid
  name           = "${var.name}-every-minute"
  description    = "Calls process-data every minute"
  freeform_tags  = local.tags
}

resource "oci_ons_subscription" "clock" {
  count          = var.process_every_minute ? 1 : 0
  compartment_id = var.compartment_ocid
  topic_id       = one(oci_ons_notification_topic.clock[*].id)
  protocol       = "ORACLE_FUNCTIONS"
  endpoint       = local.process_data
  freeform_tags  = local.tags
}

resource "oci_monitoring_alarm" "clock" {
  count                        = var.process_every_minute ? 1 : 0
  compartment_id               = var.compartment_ocid
  metric_compartment_id        = local.database_compartment
  display_name                 = "${var.name}-every-minute"
  body                         = "No fault: this alarm is the clock of process-data"
  namespace                    = "oci_autonomous_database"
  query                        = "DatabaseAvailability[1m]{resourceId = \"${local.database}\"}.max() >= 0"
  severity                     = "INFO"
  destinations                 = oci_ons_notification_topic.clock[*].id
  repeat_notification_duration = "PT1M"
  pending_duration             = "PT1M"
  message_format               = "RAW"
  is_enabled                   = true
  freeform_tags                = local.tags
}

resource "oci_resource_scheduler_schedule" "this" {
  for_each = merge(
    { daily = { cron = "0 3 * * *", body = { task = "maintenance" } } },
    var.process_every_minute ? {} : { hourly = { cron = "0 * * * *", body = {} } },
  )
  compartment_id     = var.compartment_ocid
  display_name       = "${var.name}-${each.key}"
  action             = "START_RESOURCE"
  recurrence_type    = "CRON"
  recurrence_details = each.value.cron
  freeform_tags      = local.tags

  resources {
    id = local.process_data
    parameters {
      parameter_type = "BODY"
      value          = [jsonencode(each.value.body)]
    }
  }
}
