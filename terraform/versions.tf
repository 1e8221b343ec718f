terraform {
  required_version = ">= 1.5" # Resource Manager's newest; tests/mocked needs 1.7

  required_providers {
    oci = {
      source  = "oracle/oci"
      version = ">= 8.28, < 9"
    }
  }
}

provider "oci" {
  tenancy_ocid = var.tenancy_ocid
  region       = var.region
}

# Dynamic groups and policies are made in the tenancy's home region, and only there.
provider "oci" {
  alias        = "home"
  tenancy_ocid = var.tenancy_ocid
  region       = local.home_region
}
