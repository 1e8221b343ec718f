# Where public_endpoint changes, a gateway of the other kind is made with its deployment before the old ones go.
# Blocks that are left out of a deployment stay in it, so callers who become anonymous get another gateway as well.

resource "terraform_data" "callers" {
  input = var.token_keys_url == null ? "anonymous" : "known"
}

resource "oci_apigateway_gateway" "this" {
  compartment_id             = var.compartment_ocid
  display_name               = var.name
  endpoint_type              = var.public_endpoint ? "PUBLIC" : "PRIVATE"
  subnet_id                  = local.gateway_subnet
  network_security_group_ids = [local.groups["gateway"]]
  freeform_tags              = local.tags

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.callers]
  }
}

resource "oci_apigateway_deployment" "this" {
  compartment_id = var.compartment_ocid
  gateway_id     = oci_apigateway_gateway.this.id
  display_name   = var.name
  path_prefix    = local.routes.path_prefix # of the only deployment on its gateway; var.path_prefix is the routes'
  freeform_tags  = local.tags

  # Whether the gateway may call the functions is looked at when the deployment is made. Policies take a while to hold
  # everywhere; the call that prepares the database waits until those of the functions do, which were made with it.
  depends_on = [oci_functions_invoke_function.provisioning]

  specification {
    request_policies {
      rate_limiting {
        rate_in_requests_per_second = var.rate_limit
        rate_key                    = "CLIENT_IP"
      }

      dynamic "authentication" {
        for_each = var.token_keys_url == null ? [] : [var.token_keys_url]
        content {
          type                        = "JWT_AUTHENTICATION"
          token_header                = var.caller_header
          token_auth_scheme           = "Bearer"
          is_anonymous_access_allowed = false
          issuers                     = var.token_issuers
          audiences                   = var.token_audiences

          public_keys {
            type                        = "REMOTE_JWKS"
            uri                         = authentication.value
            max_cache_duration_in_hours = 1
          }

          verify_claims {
            key         = var.caller_claim
            is_required = true
          }
        }
      }
    }

    dynamic "routes" {
      for_each = local.routes.routes
      content {
        path    = "${trimsuffix(var.path_prefix, "/")}${routes.value.path}"
        methods = routes.value.methods

        backend {
          type        = "ORACLE_FUNCTIONS_BACKEND"
          function_id = oci_functions_function.this[routes.value.function].id
        }

        request_policies {
          dynamic "authorization" {
            for_each = var.token_keys_url == null ? [] : [var.scope_prefix]
            content {
              type          = "ANY_OF"
              allowed_scope = [for caller in routes.value.callers : "${authorization.value}${caller}"]
            }
          }

          header_transformations {
            # Who calls, and in which role, is what the gateway has authenticated, whatever a client says here.
            dynamic "set_headers" {
              for_each = var.token_keys_url == null ? [] : [local.caller_headers]
              content {
                dynamic "items" {
                  for_each = set_headers.value
                  content {
                    name      = items.key
                    values    = ["$${request.auth[${items.value}]}"]
                    if_exists = "OVERWRITE"
                  }
                }
              }
            }

            # The caller's own token goes no further; nor, where nobody is known, a name that a client made up.
            filter_headers {
              type = "BLOCK"
              items {
                name = var.caller_header
              }

              dynamic "items" {
                for_each = var.token_keys_url == null ? keys(local.caller_headers) : []
                content {
                  name = items.value
                }
              }
            }
          }
        }
      }
    }
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = (var.token_keys_url == null) == var.allow_anonymous
      error_message = "Say how callers are known, with token_keys_url; or let anybody store and process, with allow_anonymous = true."
    }
    precondition {
      condition     = var.token_keys_url == null || (length(var.token_issuers) > 0 && length(var.token_audiences) > 0)
      error_message = "Say whose JWTs are taken and for whom they are, with token_issuers and token_audiences."
    }
  }
}

check "callers_are_known" {
  assert {
    condition     = !var.allow_anonymous
    error_message = "allow_anonymous: ANYBODY who reaches ${oci_apigateway_gateway.this.hostname} may store, process and replay."
  }
}
