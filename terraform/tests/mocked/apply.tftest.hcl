# An apply under the real provider's schema, with nothing behind it: `terraform test -test-directory=tests/mocked`,
# with Terraform 1.7 or newer. To deploy, 1.5 is enough: its successors read `tests` at every init, and no folder in it.

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
  mock_data "oci_kms_vault" {
    defaults = { compartment_id = "ocid1.compartment.oc1..datasync", vault_type = "DEFAULT" }
  }
  mock_data "oci_database_autonomous_database" {
    defaults = {
      compartment_id      = "ocid1.compartment.oc1..databases"
      private_endpoint_ip = "10.20.0.5"
      connection_strings = [{
        all_connection_strings = {}, dedicated = "", high = "", low = "", medium = ""
        profiles = [
          { consumer_group = "TP", display_name = "orders_tp", host_format = "FQDN", is_regional = false, protocol = "TCPS", session_mode = "DIRECT", syntax_format = "LONG", tls_authentication = "SERVER", value = "(description=(orders))" },
        ]
      }]
    }
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
    condition     = tolist(oci_apigateway_deployment.this.specification[0].routes[*].path) == tolist(local.routes.routes[*].path) && output.url == "https://gateway.example.com"
    error_message = "Every route is served, without a prefix."
  }
  assert {
    condition     = alltrue([for route in oci_apigateway_deployment.this.specification[0].routes : one(one(one(route.request_policies).header_transformations).set_headers).items == tolist([{ name = "X-Datasync-Caller", values = tolist(["$${request.auth[sub]}"]), if_exists = "OVERWRITE" }, { name = "X-Datasync-Role", values = tolist(["$${request.auth[scope]}"]), if_exists = "OVERWRITE" }])])
    error_message = "On every route the gateway says who calls."
  }
  assert {
    condition     = alltrue([for route in oci_apigateway_deployment.this.specification[0].routes : one(one(one(route.request_policies).header_transformations).filter_headers) == { type = "BLOCK", items = tolist([{ name = "X-API-Key" }]) }])
    error_message = "The caller's token goes no further; and a header is in one transformation only."
  }
  assert {
    condition     = one(oci_apigateway_deployment.this.specification[0].request_policies[0].authentication[0].verify_claims).key == "sub" && one(oci_apigateway_deployment.this.specification[0].request_policies[0].authentication[0].verify_claims).is_required
    error_message = "A JWT that does not say who calls is refused."
  }
  assert {
    condition     = !one(oci_functions_application.this.trace_config).is_enabled && !one(oci_functions_function.this["store-data"].trace_config).is_enabled
    error_message = "Without tracing it is switched off, and not left out."
  }
  assert {
    condition     = alltrue([for vault in oci_kms_vault.this : vault.vault_type == "DEFAULT"]) && alltrue([for key in oci_kms_key.this : length(key.auto_key_rotation_details) == 0])
    error_message = "The vaults are those that cost nothing, whose keys OCI does not rotate."
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
    condition     = jsondecode(oci_functions_invoke_function.provisioning.invoke_function_body) == { task = "prepare", adminPasswordSecret = oci_vault_secret.password["admin"].id }
    error_message = "process-data makes the schema user."
  }
  assert {
    condition     = can(regex("target.secret.id = '${oci_vault_secret.password["admin"].id}', request.utc-timestamp before '2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z'}$", one(oci_identity_policy.provisioning.statements)))
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
    condition     = one([for rule in oci_core_route_table.gateway["private"].route_rules : rule.network_entity_id if rule.destination == "0.0.0.0/0"]) == one(oci_core_nat_gateway.this).id
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

run "signatures_and_a_short_memory" {
  command = apply

  variables {
    signing_secret_ocid       = "ocid1.vaultsecret.oc1..signing"
    archive_delete_after_days = 365
    settings                  = ["EXPIRE_AFTER=7d", "SHOW_PAYLOADS=true", "ERROR_MAPPING=[{\"responsecode\": \"503\", \"stream\": \"a=b\"}]"]
  }

  assert {
    condition     = oci_functions_application.this.config["SHOW_PAYLOADS"] == "true" && jsondecode(oci_functions_application.this.config["ERROR_MAPPING"])[0].stream == "a=b"
    error_message = "Settings reach the functions."
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

run "anonymous_callers" {
  command = apply

  variables {
    token_keys_url  = null
    allow_anonymous = true
  }

  expect_failures = [check.callers_are_known]

  assert {
    condition     = alltrue([for route in oci_apigateway_deployment.this.specification[0].routes : length(one(one(route.request_policies).header_transformations).set_headers) == 0 && one(one(one(route.request_policies).header_transformations).filter_headers).items[*].name == tolist(["X-API-Key", "X-Datasync-Caller", "X-Datasync-Role"])])
    error_message = "What a client says of itself is removed."
  }
  assert {
    condition     = length(oci_apigateway_deployment.this.specification[0].request_policies[0].authentication) == 0
    error_message = "Nobody is asked."
  }
}

run "callers_by_another_claim_under_a_prefix" {
  command = apply

  variables {
    caller_claim = "client_id"
    path_prefix  = "/jsondb"
  }

  assert {
    condition     = alltrue([for route in oci_apigateway_deployment.this.specification[0].routes : one(one(one(route.request_policies).header_transformations).set_headers).items[0].values == tolist(["$${request.auth[client_id]}"])])
    error_message = "The claim is the variable's."
  }
  assert {
    condition     = tolist(oci_apigateway_deployment.this.specification[0].routes[*].path) == tolist([for route in local.routes.routes : "/jsondb${route.path}"]) && output.url == "https://gateway.example.com/jsondb"
    error_message = "Every route has the prefix, and so has the URL."
  }
}

run "a_database_that_is_there" {
  command = apply

  variables {
    database_ocid              = "ocid1.autonomousdatabase.oc1..orders"
    database_admin_secret_ocid = "ocid1.vaultsecret.oc1..admin"
    database_user              = "DATASYNC_2"
  }

  assert {
    condition     = length(oci_database_autonomous_database.this) == 0 && keys(oci_vault_secret.password) == ["schema"] && keys(oci_core_network_security_group.this) == ["functions", "gateway"]
    error_message = "None is made, nor what it would need."
  }
  assert {
    condition     = oci_functions_application.this.config["DATABASE_DSN"] == "(description=(orders))" && oci_functions_application.this.config["DATABASE_USER"] == "DATASYNC_2"
    error_message = "The functions connect to it."
  }
  assert {
    condition     = local.openings["functions to the database"] == ["functions", "EGRESS", "CIDR_BLOCK", "10.20.0.5/32", 1521]
    error_message = "They reach it at its private endpoint."
  }
  assert {
    condition     = strcontains(one(oci_identity_policy.provisioning.statements), "'ocid1.vaultsecret.oc1..admin'") && jsondecode(oci_functions_invoke_function.provisioning.invoke_function_body).adminPasswordSecret == "ocid1.vaultsecret.oc1..admin"
    error_message = "Its ADMIN makes the schema user."
  }
  assert {
    condition     = one(oci_monitoring_alarm.clock).metric_compartment_id == "ocid1.compartment.oc1..databases"
    error_message = "The clock looks at its metrics, where they are."
  }
}

run "a_database_without_a_private_endpoint" {
  command = plan

  variables {
    database_ocid              = "ocid1.autonomousdatabase.oc1..orders"
    database_admin_secret_ocid = "ocid1.vaultsecret.oc1..admin"
  }

  override_data {
    target = data.oci_database_autonomous_database.given
    values = {
      private_endpoint_ip = null
      connection_strings = [{
        all_connection_strings = {}, dedicated = "", high = "", low = "", medium = ""
        profiles = [
          { consumer_group = "TP", display_name = "orders_tp", host_format = "FQDN", is_regional = false, protocol = "TCPS", session_mode = "DIRECT", syntax_format = "LONG", tls_authentication = "SERVER", value = "(description=(orders))" },
        ]
      }]
    }
  }

  assert {
    condition     = local.openings["functions to the database"] == ["functions", "EGRESS", "SERVICE_CIDR_BLOCK", local.oracle_services.cidr_block, 1521]
    error_message = "It is one of Oracle's services."
  }
}

run "a_database_that_wants_a_wallet" {
  command = plan

  variables {
    database_ocid              = "ocid1.autonomousdatabase.oc1..orders"
    database_admin_secret_ocid = "ocid1.vaultsecret.oc1..admin"
  }

  override_data {
    target = data.oci_database_autonomous_database.given
    values = { connection_strings = [] }
  }

  expect_failures = [oci_functions_application.this]
}

run "a_database_whose_admin_is_not_known" {
  command = plan

  variables {
    database_ocid = "ocid1.autonomousdatabase.oc1..orders"
  }

  expect_failures = [oci_functions_application.this]
}

run "an_admin_without_a_database" {
  command = plan

  variables {
    database_admin_secret_ocid = "ocid1.vaultsecret.oc1..admin"
  }

  expect_failures = [oci_functions_application.this]
}

run "vaults_that_are_there" {
  command = apply

  variables {
    tokens_vault_ocid = "ocid1.vault.oc1..tokens"
    tokens_key_ocid   = "ocid1.key.oc1..tokens"
    system_vault_ocid = "ocid1.vault.oc1..system"
    system_key_ocid   = "ocid1.key.oc1..system"
  }

  assert {
    condition     = length(oci_kms_vault.this) == 0 && length(oci_kms_key.this) == 0
    error_message = "None is made."
  }
  assert {
    condition     = oci_functions_application.this.config["VAULT_OCID"] == "ocid1.vault.oc1..tokens" && oci_functions_application.this.config["VAULT_KEY_OCID"] == "ocid1.key.oc1..tokens" && strcontains(local.statements["store-data reads tokens"], "'ocid1.vault.oc1..tokens'")
    error_message = "Tokens are kept in the one."
  }
  assert {
    condition     = oci_vault_secret.password["schema"].vault_id == "ocid1.vault.oc1..system" && oci_objectstorage_bucket.archive.kms_key_id == "ocid1.key.oc1..system"
    error_message = "Passwords are kept in the other, whose key encrypts the archive."
  }
}

run "a_vault_that_is_there_beside_one_that_is_made" {
  command = apply

  variables {
    tokens_vault_ocid = "ocid1.vault.oc1..tokens"
    tokens_key_ocid   = "ocid1.key.oc1..tokens"
  }

  assert {
    condition     = keys(oci_kms_vault.this) == ["system"] && output.tokens_vault == "ocid1.vault.oc1..tokens"
    error_message = "Each is made or there by itself."
  }
}

run "a_vault_without_its_key" {
  command = plan

  variables {
    tokens_vault_ocid = "ocid1.vault.oc1..tokens"
  }

  expect_failures = [oci_functions_application.this]
}

run "a_key_without_its_vault" {
  command = plan

  variables {
    system_key_ocid = "ocid1.key.oc1..system"
  }

  expect_failures = [oci_functions_application.this]
}

run "one_vault_for_both" {
  command = plan

  variables {
    tokens_vault_ocid = "ocid1.vault.oc1..both"
    tokens_key_ocid   = "ocid1.key.oc1..both"
    system_vault_ocid = "ocid1.vault.oc1..both"
    system_key_ocid   = "ocid1.key.oc1..both"
  }

  expect_failures = [oci_functions_application.this]
}

run "a_vault_of_another_compartment" {
  command = plan

  variables {
    tokens_vault_ocid = "ocid1.vault.oc1..tokens"
    tokens_key_ocid   = "ocid1.key.oc1..tokens"
  }

  override_data {
    target = data.oci_kms_vault.given["tokens"]
    values = { compartment_id = "ocid1.compartment.oc1..other" }
  }

  expect_failures = [data.oci_kms_vault.given]
}

run "keys_of_shared_vaults_are_not_rotated" {
  command = plan

  variables {
    key_rotation_days = 90
  }

  expect_failures = [oci_kms_key.this]
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
    target = oci_functions_invoke_function.provisioning
    values = { content = "{\"title\":\"Temporarily unavailable\",\"status\":503,\"detail\":\"The database is unavailable.\"}" }
  }

  plan_options {
    replace = [oci_functions_invoke_function.provisioning]
  }

  expect_failures = [oci_functions_invoke_function.provisioning]
}
