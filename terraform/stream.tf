# Messages of a Stream, handed to store-data: of one that is made (stream_partitions), or that is there (stream_ocid).

locals {
  has_stream = var.stream_ocid != null || var.stream_partitions > 0
  stream     = var.stream_ocid == null ? one(oci_streaming_stream.this[*].id) : var.stream_ocid
}

resource "oci_streaming_stream" "this" {
  count              = var.stream_partitions > 0 ? 1 : 0
  compartment_id     = var.compartment_ocid
  name               = var.name
  partitions         = var.stream_partitions
  retention_in_hours = 168 # a week, the most: as long as store-data may be away
  freeform_tags      = local.tags

  lifecycle {
    precondition {
      condition     = var.stream_ocid == null
      error_message = "Give stream_ocid or stream_partitions, not both."
    }
  }
}

resource "oci_sch_service_connector" "stream" {
  count          = local.has_stream ? 1 : 0
  compartment_id = var.compartment_ocid
  display_name   = "${var.name}-stream"
  description    = "Hands a Stream's messages to store-data"
  freeform_tags  = local.tags
  depends_on     = [oci_identity_policy.this]

  source {
    kind      = "streaming"
    stream_id = local.stream

    cursor {
      kind = "TRIM_HORIZON"
    }
  }

  target {
    kind              = "functions"
    function_id       = local.store_data
    batch_size_in_num = 100
    batch_time_in_sec = 60
  }
}
