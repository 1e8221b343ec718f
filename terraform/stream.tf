# Messages of a Stream, handed to store-data, where stream_ocid names one.
resource "oci_sch_service_connector" "stream" {
  count          = var.stream_ocid == null ? 0 : 1
  compartment_id = var.compartment_ocid
  display_name   = "${var.name}-stream"
  description    = "Hands a Stream's messages to store-data"
  freeform_tags  = local.tags
  depends_on     = [oci_identity_policy.this]

  source {
    kind      = "streaming"
    stream_id = var.stream_ocid

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
