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
  token_keys_url   = "https://idcs.example.com/jwk"
  token_issuers    = ["https://identity.oraclecloud.com/"]
  token_audiences  = ["datasync"]
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
    condition     = keys(oci_resource_scheduler_schedule.this) == ["daily"] && length(oci_monitoring_alarm.clock) == 1
    error_message = "The clock is the alarm; maintenance is called once a day."
  }
  assert {
    condition     = one(one(oci_resource_scheduler_schedule.this["daily"].resources).parameters).value == tolist(["{\"task\":\"maintenance\"}"])
    error_message = "The daily call asks for maintenance."
  }
  assert {
    condition     = oci_functions_application.this.config["ARCHIVE_BUCKET"] == "datasync-archive" && oci_functions_application.this.config["ARCHIVE_AFTER"] == "30d"
    error_message = "Finished records go into the archive."
  }
  assert {
    condition     = length(oci_objectstorage_object_lifecycle_policy.archive.rules) == 2
    error_message = "Archived objects move to cheaper storage, and are kept."
  }
  assert {
    condition     = sum([for name, value in oci_functions_application.this.config : length(name) + length(value)]) < 4096
    error_message = "A function's configuration has at most 4 KB."
  }
  assert {
    condition     = length(oci_identity_policy.this.statements) <= 50 && !anytrue([for statement in oci_identity_policy.this.statements : length(statement) > 500])
    error_message = "A policy has at most 50 statements, and these are short."
  }
  assert {
    condition     = length(oci_monitoring_alarm.this) == 7
    error_message = "Operators are alarmed."
  }
}

run "the_first_step_of_make_deploy" {
  command = apply

  plan_options {
    target = [oci_artifacts_container_repository.this, data.oci_objectstorage_namespace.this, oci_identity_policy.object_storage]
  }

  assert {
    condition     = output.repositories["store-data"] == "ocir.eu-frankfurt-1.oci.oraclecloud.com/acme/datasync/store-data"
    error_message = "It is known where images are pushed to."
  }
}

run "the_database_is_prepared" {
  command = apply

  assert {
    condition     = jsondecode(oci_functions_invoke_function.preparation.invoke_function_body) == { task = "prepare", adminPasswordSecret = oci_vault_secret.password["admin"].id }
    error_message = "process-data makes the schema user."
  }
  assert {
    condition     = can(regex("target.secret.id = '${oci_vault_secret.password["admin"].id}', request.utc-timestamp before '2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z'}$", one(oci_identity_policy.preparation.statements)))
    error_message = "ADMIN's password can be read for a while, and nothing else with it."
  }
  assert {
    condition     = !anytrue([for statement in oci_identity_policy.this.statements : strcontains(statement, oci_vault_secret.password["admin"].id)])
    error_message = "Later it can't."
  }
}

run "only_what_targets_listen_on_is_let_out" {
  command = plan

  variables {
    allowed_targets     = ["erp.example.com", "*.crm.example.com:8443", "http://10.20.0.7", "http://[::1]"]
    targets_on_internet = false
    target_networks     = ["10.20.0.0/16", "10.30.0.0/16"]
  }

  assert {
    condition     = sort([for name, opening in local.openings : "${opening[3]} ${opening[4]}" if startswith(name, "functions to targets")]) == sort(["10.20.0.0/16 443", "10.20.0.0/16 80", "10.20.0.0/16 8443", "10.30.0.0/16 443", "10.30.0.0/16 80", "10.30.0.0/16 8443"])
    error_message = "Each network of targets, on each port of theirs."
  }
}

run "a_private_gateway" {
  command = apply

  variables {
    public_endpoint     = false
    targets_on_internet = false
  }

  assert {
    condition     = one([for rule in one(oci_core_route_table.gateway).route_rules : rule.network_entity_id if rule.destination == "0.0.0.0/0"]) == one(oci_core_nat_gateway.this).id
    error_message = "It reaches the identity provider."
  }
  assert {
    condition     = [for rule in one(oci_core_route_table.private).route_rules : rule.destination_type] == ["SERVICE_CIDR_BLOCK"] && length(oci_core_internet_gateway.this) == 0
    error_message = "The functions reach nothing outside."
  }
}

run "images_that_were_pushed_before" {
  command = apply

  variables {
    make_repositories = false
  }

  assert {
    condition     = length(oci_artifacts_container_repository.this) == 0 && oci_functions_function.this["store-data"].image == "ocir.eu-frankfurt-1.oci.oraclecloud.com/acme/datasync/store-data:0.1.0-abc"
    error_message = "They are used."
  }
}

run "too_few_are_kept_warm" {
  command = plan

  variables {
    warm_stores = 10
  }

  expect_failures = [oci_functions_function.this["store-data"]]
}

run "hourly" {
  command = apply

  variables {
    process_every_minute = false
  }

  assert {
    condition     = keys(oci_resource_scheduler_schedule.this) == ["daily", "hourly"] && length(oci_monitoring_alarm.clock) == 0
    error_message = "The clock is Resource Scheduler."
  }
  assert {
    condition     = contains(keys(local.statements), "schedule hourly calls process-data")
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

run "a_stream_of_its_own" {
  command = apply

  variables {
    stream_partitions = 1
  }

  assert {
    condition     = one(one(oci_sch_service_connector.stream).source).stream_id == one(oci_streaming_stream.this).id
    error_message = "The connector reads the Stream that was made."
  }
}

run "traces" {
  command = apply

  variables {
    tracing = true
  }

  assert {
    condition     = one(oci_functions_application.this.trace_config).domain_id == one(oci_apm_apm_domain.this).id && one(oci_functions_function.this["process-data"].trace_config).is_enabled
    error_message = "Both functions are traced, in the domain that was made."
  }
}

run "two_streams" {
  command = plan

  variables {
    stream_ocid       = "ocid1.stream.oc1..orders"
    stream_partitions = 1
  }

  expect_failures = [oci_streaming_stream.this]
}

run "rules_signatures_and_a_short_memory" {
  command = apply

  variables {
    rules                     = "[{\"name\": \"large\", \"filter\": \"payload.amount > `100`\"}]"
    signing_secret_ocid       = "ocid1.vaultsecret.oc1..signing"
    archive_delete_after_days = 365
    settings                  = ["EXPIRE_AFTER=7d", "SHOW_PAYLOADS=true", "ERROR_MAPPING=[{\"responsecode\": \"503\", \"stream\": \"a=b\"}]"]
  }

  assert {
    condition     = jsondecode(oci_functions_application.this.config["RULES"])[0].name == "large" && oci_functions_application.this.config["SHOW_PAYLOADS"] == "true" && jsondecode(oci_functions_application.this.config["ERROR_MAPPING"])[0].stream == "a=b"
    error_message = "Rules and settings reach the functions."
  }
  assert {
    condition     = contains(keys(local.statements), "process-data reads signing keys") && length(oci_objectstorage_object_lifecycle_policy.archive.rules) == 3
    error_message = "The keys can be read, and old objects are deleted."
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
    token_keys_url = null
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

# The last: the failure stays in the state.
run "a_database_that_could_not_be_prepared" {
  command = apply

  override_resource {
    target = oci_functions_invoke_function.preparation
    values = { content = "{\"title\":\"Temporarily unavailable\",\"status\":503,\"detail\":\"The database is unavailable.\"}" }
  }

  plan_options {
    replace = [oci_functions_invoke_function.preparation]
  }

  expect_failures = [oci_functions_invoke_function.preparation]
}
