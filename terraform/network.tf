# A network of its own, unless one is given: a private subnet for functions and database, one for the gateway.
#
# What the API Gateway stands in is public or private for good, so there is one of each kind under a name of its own,
# with addresses of its own: where public_endpoint changes, the new one is made before the old one goes. Whatever
# something else points to is deleted last (create_before_destroy): OCI refuses to delete it before.

locals {
  own_network     = var.vcn_ocid == null
  vcn             = local.own_network ? one(oci_core_vcn.this[*].id) : var.vcn_ocid
  private_subnet  = local.own_network ? one(oci_core_subnet.private[*].id) : var.subnet_ocid
  gateway_subnet  = local.own_network ? one([for subnet in oci_core_subnet.gateway : subnet.id]) : var.gateway_subnet_ocid
  oracle_services = try(data.oci_core_services.regional.services[0], { id = "", cidr_block = "" })
  exposure        = var.public_endpoint ? "public" : "private"
  # A private gateway has no way of its own to the identity provider.
  asks_for_keys = !var.public_endpoint && var.token_keys_url != null
}

resource "oci_core_vcn" "this" {
  count          = local.own_network ? 1 : 0
  compartment_id = var.compartment_ocid
  display_name   = var.name
  cidr_blocks    = [var.vcn_cidr]
  dns_label      = substr(replace(var.name, "-", ""), 0, 15)
  freeform_tags  = local.tags
}

resource "oci_core_service_gateway" "this" {
  count          = local.own_network ? 1 : 0
  compartment_id = var.compartment_ocid
  vcn_id         = local.vcn
  display_name   = "${var.name}-oracle-services"
  freeform_tags  = local.tags

  services {
    service_id = local.oracle_services.id
  }
}

resource "oci_core_nat_gateway" "this" {
  count          = local.own_network && (var.targets_on_internet || local.asks_for_keys) ? 1 : 0
  compartment_id = var.compartment_ocid
  vcn_id         = local.vcn
  display_name   = "${var.name}-internet"
  freeform_tags  = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "oci_core_internet_gateway" "this" {
  count          = local.own_network && var.public_endpoint ? 1 : 0
  compartment_id = var.compartment_ocid
  vcn_id         = local.vcn
  display_name   = "${var.name}-callers"
  freeform_tags  = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "oci_core_route_table" "private" {
  count          = local.own_network ? 1 : 0
  compartment_id = var.compartment_ocid
  vcn_id         = local.vcn
  display_name   = "${var.name}-private"
  freeform_tags  = local.tags

  route_rules {
    description       = "Vault, Functions, Monitoring and the registry, without leaving Oracle's network"
    destination       = local.oracle_services.cidr_block
    destination_type  = "SERVICE_CIDR_BLOCK"
    network_entity_id = one(oci_core_service_gateway.this[*].id)
  }

  dynamic "route_rules" {
    for_each = var.targets_on_internet ? oci_core_nat_gateway.this[*].id : []
    content {
      description       = "targets on the internet"
      destination       = "0.0.0.0/0"
      destination_type  = "CIDR_BLOCK"
      network_entity_id = route_rules.value
    }
  }
}

resource "oci_core_route_table" "gateway" {
  for_each       = toset(local.own_network ? [local.exposure] : [])
  compartment_id = var.compartment_ocid
  vcn_id         = local.vcn
  display_name   = "${var.name}-gateway-${each.key}"
  freeform_tags  = local.tags

  dynamic "route_rules" {
    for_each = local.asks_for_keys ? oci_core_nat_gateway.this[*].id : []
    content {
      description       = "the identity provider's keys"
      destination       = "0.0.0.0/0"
      destination_type  = "CIDR_BLOCK"
      network_entity_id = route_rules.value
    }
  }

  # Behind an internet gateway a route to a service gateway for all services is not allowed beside 0.0.0.0/0.
  dynamic "route_rules" {
    for_each = var.public_endpoint ? oci_core_internet_gateway.this[*].id : oci_core_service_gateway.this[*].id
    content {
      description       = var.public_endpoint ? "callers on the internet" : "the functions' endpoint"
      destination       = var.public_endpoint ? "0.0.0.0/0" : local.oracle_services.cidr_block
      destination_type  = var.public_endpoint ? "CIDR_BLOCK" : "SERVICE_CIDR_BLOCK"
      network_entity_id = route_rules.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

# Nothing is let through by subnet: each thing has a group of its own.
resource "oci_core_security_list" "none" {
  count          = local.own_network ? 1 : 0
  compartment_id = var.compartment_ocid
  vcn_id         = local.vcn
  display_name   = "${var.name}-none"
  freeform_tags  = local.tags
}

resource "oci_core_subnet" "private" {
  count                      = local.own_network ? 1 : 0
  compartment_id             = var.compartment_ocid
  vcn_id                     = local.vcn
  display_name               = "${var.name}-private"
  cidr_block                 = cidrsubnet(var.vcn_cidr, 1, 0)
  dns_label                  = "private"
  prohibit_public_ip_on_vnic = true
  prohibit_internet_ingress  = true
  route_table_id             = one(oci_core_route_table.private[*].id)
  security_list_ids          = oci_core_security_list.none[*].id
  freeform_tags              = local.tags
}

resource "oci_core_subnet" "gateway" {
  for_each                   = toset(local.own_network ? [local.exposure] : [])
  compartment_id             = var.compartment_ocid
  vcn_id                     = local.vcn
  display_name               = "${var.name}-gateway-${each.key}"
  cidr_block                 = cidrsubnet(var.vcn_cidr, 2, each.key == "public" ? 2 : 3)
  dns_label                  = "gw${each.key}"
  prohibit_public_ip_on_vnic = !var.public_endpoint
  prohibit_internet_ingress  = !var.public_endpoint
  route_table_id             = oci_core_route_table.gateway[each.key].id
  security_list_ids          = oci_core_security_list.none[*].id
  freeform_tags              = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "oci_core_network_security_group" "this" {
  for_each       = toset(concat(["gateway", "functions"], local.own_database ? ["database"] : []))
  compartment_id = var.compartment_ocid
  vcn_id         = local.vcn
  display_name   = "${var.name}-${each.key}"
  freeform_tags  = local.tags

  lifecycle {
    precondition {
      condition     = (var.subnet_ocid == null) == local.own_network && (var.gateway_subnet_ocid == null) == local.own_network
      error_message = "Give all of vcn_ocid, subnet_ocid and gateway_subnet_ocid, or none of them."
    }
  }
}

locals {
  groups = { for name, group in oci_core_network_security_group.this : name => group.id }

  # Where targets are, and the ports that allowed_targets name: nothing else is let out.
  target_networks = coalesce(var.target_networks, [var.targets_on_internet ? "0.0.0.0/0" : var.vcn_cidr])
  target_ports = toset([
    for target in var.allowed_targets :
    try(regex(":([0-9]+)$", target)[0], startswith(target, "http://") ? "80" : "443")
  ])

  # What may pass, by the group whose rule it is: direction, the other side, port.
  openings = merge(
    { for network in var.caller_networks : "callers from ${network}" => ["gateway", "INGRESS", "CIDR_BLOCK", network, 443] },
    # Through a service gateway where it has one; a public gateway goes through the internet gateway.
    var.public_endpoint ? {
      "gateway to Functions, over the internet" = ["gateway", "EGRESS", "CIDR_BLOCK", "0.0.0.0/0", 443]
      } : {
      "gateway to Functions" = ["gateway", "EGRESS", "SERVICE_CIDR_BLOCK", local.oracle_services.cidr_block, 443]
    },
    { "functions to Oracle services" = ["functions", "EGRESS", "SERVICE_CIDR_BLOCK", local.oracle_services.cidr_block, 443] },
    local.own_database ? {
      "functions to the database"   = ["functions", "EGRESS", "NETWORK_SECURITY_GROUP", local.groups["database"], 1521]
      "database from the functions" = ["database", "INGRESS", "NETWORK_SECURITY_GROUP", local.groups["functions"], 1521]
    } : {},
    # An existing database is at its private endpoint, or, without one, among Oracle's services.
    local.own_database ? {} : {
      "functions to the database" = local.database_address == "" ? ["functions", "EGRESS", "SERVICE_CIDR_BLOCK", local.oracle_services.cidr_block, 1521] : ["functions", "EGRESS", "CIDR_BLOCK", "${local.database_address}/32", 1521]
    },
    # The identity provider may be anywhere.
    !local.asks_for_keys ? {} : { "gateway to the identity provider" = ["gateway", "EGRESS", "CIDR_BLOCK", "0.0.0.0/0", 443] },
    { for pair in setproduct(local.target_networks, local.target_ports) :
      "functions to targets in ${pair[0]}, port ${pair[1]}" => ["functions", "EGRESS", "CIDR_BLOCK", pair[0], tonumber(pair[1])]
    },
  )
}

resource "oci_core_network_security_group_security_rule" "this" {
  for_each                  = local.openings
  network_security_group_id = local.groups[each.value[0]]
  description               = each.key
  direction                 = each.value[1]
  protocol                  = "6" # TCP
  source_type               = each.value[1] == "INGRESS" ? each.value[2] : null
  source                    = each.value[1] == "INGRESS" ? each.value[3] : null
  destination_type          = each.value[1] == "EGRESS" ? each.value[2] : null
  destination               = each.value[1] == "EGRESS" ? each.value[3] : null

  tcp_options {
    destination_port_range {
      min = each.value[4]
      max = each.value[4]
    }
  }
}
