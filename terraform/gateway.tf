resource "oci_apigateway_gateway" "this" {
  compartment_id             = var.compartment_ocid
  display_name               = var.name
  endpoint_type              = var.public_endpoint ? "PUBLIC" : "PRIVATE"
  subnet_id                  = local.gateway_subnet
  network_security_group_ids = [local.groups["gateway"]]
  freeform_tags              = local.tags
}

resource "oci_apigateway_deployment" "this" {
  compartment_id = var.compartment_ocid
  gateway_id     = oci_apigateway_gateway.this.id
  display_name   = var.name
  path_prefix    = local.routes.path_prefix
  freeform_tags  = local.tags
  depends_on     = [oci_identity_policy.this] # looked at when the deployment is made

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
        }
      }
    }

    dynamic "routes" {
      for_each = local.routes.routes
      content {
        path    = routes.value.path
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

          # The caller's own token goes no further.
          header_transformations {
            filter_headers {
              type = "BLOCK"
              items {
                name = var.caller_header
              }
            }
          }
        }
      }
    }
  }

  lifecycle {
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
