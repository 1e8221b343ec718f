data "oci_identity_tenancy" "this" {
  tenancy_id = var.tenancy_ocid
}

data "oci_identity_regions" "all" {}

data "oci_objectstorage_namespace" "this" {
  compartment_id = var.tenancy_ocid
}

data "oci_core_services" "regional" {
  filter {
    name   = "name"
    values = ["All .* Services In Oracle Services Network"]
    regex  = true
  }
}

locals {
  home_region = one([
    for region in data.oci_identity_regions.all.regions : region.name
    if region.key == data.oci_identity_tenancy.this.home_region_key
  ])

  routes       = jsondecode(file("${path.module}/routes.json"))
  repositories = { for function in local.functions : function => "${local.registry}/${var.name}/${function}" }
  functions    = toset(["store-data", "process-data"])
  registry     = "ocir.${var.region}.oci.oraclecloud.com/${data.oci_objectstorage_namespace.this.namespace}"
  settings     = { for setting in var.settings : split("=", setting)[0] => regex("=(.*)$", setting)[0] }
  # Read by the functions; the gateway sets them from these claims, or removes them.
  caller_headers = { X-Datasync-Caller = var.caller_claim, X-Datasync-Role = "scope" }
  # Metrics' namespaces have no hyphens.
  metrics_namespace = replace(var.name, "-", "_")

  tags = { "managed-by" = "oci-data-sync", "deployment" = var.name }
}
