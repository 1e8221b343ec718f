# Where maintenance puts finished records, and what becomes of them there.

resource "oci_objectstorage_bucket" "archive" {
  # checkov:skip=CKV_OCI_7:nobody listens to this bucket's events; maintenance's answer and log say what it put there
  compartment_id = var.compartment_ocid
  namespace      = data.oci_objectstorage_namespace.this.namespace
  name           = "${var.name}-archive"
  access_type    = "NoPublicAccess"
  storage_tier   = "Standard"
  versioning     = "Enabled" # an interrupted run puts its last object again, and nothing is overwritten for good
  kms_key_id     = local.keys["system"]
  freeform_tags  = local.tags
  depends_on     = [oci_identity_policy.object_storage]
}

resource "oci_objectstorage_object_lifecycle_policy" "archive" {
  namespace  = data.oci_objectstorage_namespace.this.namespace
  bucket     = oci_objectstorage_bucket.archive.name
  depends_on = [oci_identity_policy.object_storage]

  rules {
    name        = "to-archive-storage"
    action      = "ARCHIVE"
    target      = "objects"
    time_amount = var.archive_cold_after_days
    time_unit   = "DAYS"
    is_enabled  = true
  }

  rules {
    name        = "delete-previous-versions"
    action      = "DELETE"
    target      = "previous-object-versions"
    time_amount = 7
    time_unit   = "DAYS"
    is_enabled  = true
  }

  dynamic "rules" {
    for_each = var.archive_delete_after_days == null ? [] : [var.archive_delete_after_days]
    content {
      name        = "delete"
      action      = "DELETE"
      target      = "objects"
      time_amount = rules.value
      time_unit   = "DAYS"
      is_enabled  = true
    }
  }
}
