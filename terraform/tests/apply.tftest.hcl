# An apply under the real provider's schema, with nothing behind it.

mock_provider "oci" {
  mock_data "oci_core_services" {
    defaults = {
      services = [{ cidr_block = "all-fra-services-in-oracle-services-network", description = "", id = "ocid1.service.oc1..fra", name = "All FRA Services In Oracle Services Network" }]
    }
  }
  mock_data "oci_identity_regions" {
    defaults = { regions = [{ key = "FRA", name = "eu-frankfurt-1" }, { key = "IAD", name = "us-ashburn-1" }] }
  }
  mock_data "oci_identity_tenancy" {
    defaults = { home_region_key = "IAD" }
  }
  mock_data "oci_objectstorage_namespace" {
    defaults = { namespace = "acme" }
  }
  mock_resource "oci_database_autonomous_database" {
    defaults = {
      connection_strings = [{
        all_connection_strings = {}, dedicated = "", high = "", low = "", medium = ""
        profiles = [
          { consumer_group = "TP", display_name = "datasync_tp", host_format = "FQDN", is_regional = false, protocol = "TCPS", session_mode = "DIRECT", syntax_format = "LONG", tls_authentication = "MUTUAL", value = "mutual" },
          { consumer_group = "TP", display_name = "datasync_tp", host_format = "FQDN", is_regional = false, protocol = "TCPS", session_mode = "DIRECT", syntax_format = "LONG", tls_authentication = "SERVER", value = "(description=(tls))" },
          { consumer_group = "LOW", display_name = "datasync_low", host_format = "FQDN", is_regional = false, protocol = "TCPS", session_mode = "DIRECT", syntax_format = "LONG", tls_authentication = "SERVER", value = "low" },
        ]
      }]
    }
  }
  mock_resource "oci_apigateway_deployment" {
    defaults = { endpoint = "https://gateway.example.com/" }
  }
}

mock_provider "oci" {
  alias = "home"
}

variables {
  tenancy_ocid     = "ocid1.tenancy.oc1..acme"
  compartment_ocid = "ocid1.compartment.oc1..datasync"
  region           = "eu-frankfurt-1"
  image_tag        = "0.1.0-abc"
  allowed_targets  = ["erp.example.com", "*.crm.example.com:8443"]
  caller_tokens = {
    issuers   = ["https://identity.oraclecloud.com/"]
    audiences = ["datasync"]
    jwks_url  = "https://idcs.example.com/jwk"
  }
}

run "everything" {
  command = apply

  assert {
    condition     = oci_functions_application.this.config["DATABASE_DSN"] == "(description=(tls))"
    error_message = "The functions connect by TLS without a wallet."
  }
  assert {
    condition     = oci_functions_application.this.config["ALLOWED_TARGETS"] == "erp.example.com,*.crm.example.com:8443"
    error_message = "ALLOWED_TARGETS is the list."
  }
  assert {
    condition     = oci_functions_function.this["store-data"].image == "ocir.eu-frankfurt-1.oci.oraclecloud.com/acme/datasync/store-data:0.1.0-abc"
    error_message = "The image is the one that was pushed."
  }
  assert {
    condition     = length(oci_apigateway_deployment.this.specification[0].routes) == length(local.routes.routes)
    error_message = "Every route is served."
  }
  assert {
    condition     = oci_apigateway_deployment.this.specification[0].request_policies[0].authentication[0].token_header == "X-API-Key"
    error_message = "Authorization is the target's."
  }
  assert {
    condition     = oci_database_autonomous_database.this.admin_password == null
    error_message = "The password of ADMIN is in the vault, not in the state."
  }
  assert {
    condition     = length(oci_resource_scheduler_schedule.this) == 0 && length(oci_monitoring_alarm.clock) == 1
    error_message = "The clock is the alarm."
  }
}

run "hourly" {
  command = apply

  variables {
    process_every_minute = false
  }

  assert {
    condition     = length(oci_resource_scheduler_schedule.this) == 1 && length(oci_monitoring_alarm.clock) == 0
    error_message = "The clock is Resource Scheduler."
  }
  assert {
    condition     = contains(keys(local.statements), "schedule hourly calls functions")
    error_message = "The schedule may call process-data."
  }
}

run "a_stream" {
  command = apply

  variables {
    stream_ocid = "ocid1.stream.oc1..orders"
  }

  assert {
    condition     = length(oci_sch_service_connector.stream) == 1 && contains(keys(local.statements), "connector calls store-data")
    error_message = "The connector is made, and may call store-data."
  }
}

run "a_network_that_is_there" {
  command = apply

  variables {
    vcn_ocid            = "ocid1.vcn.oc1..there"
    subnet_ocid         = "ocid1.subnet.oc1..private"
    gateway_subnet_ocid = "ocid1.subnet.oc1..gateway"
  }

  assert {
    condition     = length(oci_core_vcn.this) == 0 && oci_apigateway_gateway.this.subnet_id == "ocid1.subnet.oc1..gateway"
    error_message = "The network that was given is used."
  }
}

run "nobody_is_anonymous_unless_it_is_said" {
  command = plan

  variables {
    caller_tokens = null
  }

  expect_failures = [oci_apigateway_deployment.this]
}

run "half_a_network" {
  command = plan

  variables {
    vcn_ocid = "ocid1.vcn.oc1..there"
  }

  expect_failures = [oci_core_network_security_group.this]
}

run "latest_is_no_tag" {
  command = plan

  variables {
    image_tag = "latest"
  }

  expect_failures = [var.image_tag]
}
