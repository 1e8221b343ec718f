variable "tenancy_ocid" {
  description = "The tenancy."
  type        = string

  validation {
    condition     = startswith(var.tenancy_ocid, "ocid1.tenancy.")
    error_message = "Give the tenancy's OCID (ocid1.tenancy...)."
  }
}

variable "compartment_ocid" {
  description = "The compartment in which everything is made."
  type        = string

  validation {
    condition     = can(regex("^ocid1\\.(compartment|tenancy)\\.", var.compartment_ocid))
    error_message = "Give a compartment's OCID (ocid1.compartment...)."
  }
}

variable "region" {
  description = "The region, such as eu-frankfurt-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "Give a region's identifier, such as eu-frankfurt-1."
  }
}

variable "name" {
  description = "Name of this deployment; stands before the name of whatever is made."
  type        = string
  default     = "datasync"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}[a-z0-9]$", var.name)) && !can(regex("^(oci|oracle)-", var.name))
    error_message = "Use 2 to 21 lower-case letters, digits and hyphens, a letter first and no hyphen last; oci- and oracle- are Oracle's (of metrics)."
  }
}

variable "image_tag" {
  description = "Tag of the functions' images, as `make deploy` gives it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "Give a tag that stays with one image; latest does not."
  }
}

variable "make_repositories" {
  description = "Whether the container repositories are made; false where the images were pushed to <name>/store-data and <name>/process-data before."
  type        = bool
  default     = true
}

# Network

variable "vcn_ocid" {
  description = "An existing network; null makes one. With it, subnet_ocid and gateway_subnet_ocid are needed."
  type        = string
  default     = null

  validation {
    condition     = var.vcn_ocid == null || can(regex("^ocid1\\.vcn\\.", var.vcn_ocid))
    error_message = "Give an OCID that begins with ocid1.vcn, or null."
  }
}

variable "subnet_ocid" {
  description = "An existing private subnet for the functions and the database, in vcn_ocid."
  type        = string
  default     = null

  validation {
    condition     = var.subnet_ocid == null || can(regex("^ocid1\\.subnet\\.", var.subnet_ocid))
    error_message = "Give an OCID that begins with ocid1.subnet, or null."
  }
}

variable "gateway_subnet_ocid" {
  description = "An existing subnet for the API Gateway, in vcn_ocid."
  type        = string
  default     = null

  validation {
    condition     = var.gateway_subnet_ocid == null || can(regex("^ocid1\\.subnet\\.", var.gateway_subnet_ocid))
    error_message = "Give an OCID that begins with ocid1.subnet, or null."
  }
}

variable "vcn_cidr" {
  description = "Addresses of the network that is made: a /16 to /24."
  type        = string
  default     = "10.77.0.0/24"

  validation {
    condition     = try(cidrsubnet(var.vcn_cidr, 0, 0) == var.vcn_cidr, false) && try(tonumber(split("/", var.vcn_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vcn_cidr)[1]), 99) <= 24
    error_message = "Give a network such as 10.77.0.0/24, from /16 to /24."
  }
}

variable "targets_on_internet" {
  description = "Whether a NAT gateway lets the functions reach targets on the internet."
  type        = bool
  default     = true
}

variable "target_networks" {
  description = "Networks that the targets are in; null for the internet, or without targets_on_internet for vcn_cidr."
  type        = list(string)
  default     = null

  validation {
    condition     = alltrue([for network in coalesce(var.target_networks, []) : try(cidrsubnet(network, 0, 0) == network, false)])
    error_message = "Give networks such as 10.20.0.0/16, or null."
  }
}

# Who may call

variable "public_endpoint" {
  description = "Whether the API Gateway has a public address; without it, it is reached from the network only."
  type        = bool
  default     = true
}

variable "caller_networks" {
  description = "Networks that may connect to the API Gateway."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.caller_networks) > 0 && alltrue([for network in var.caller_networks : try(cidrsubnet(network, 0, 0) == network, false)])
    error_message = "Give networks such as 203.0.113.0/24."
  }
}

variable "token_keys_url" {
  description = "URL of the public keys (JWKS) of the identity provider whose JWTs callers pass; null where anybody may call."
  type        = string
  default     = null

  validation {
    condition     = var.token_keys_url == null || can(regex("^https://[^/]+/", var.token_keys_url))
    error_message = "Give an https URL, or null."
  }
}

variable "token_issuers" {
  description = "Issuers (iss) of callers' JWTs."
  type        = list(string)
  default     = []
}

variable "token_audiences" {
  description = "Audiences (aud) that mean this API in callers' JWTs."
  type        = list(string)
  default     = []
}

variable "scope_prefix" {
  description = "Stands before source and operator in the scope of a caller's JWT: who has the first stores, who has the second processes."
  type        = string
  default     = "datasync."

  validation {
    condition     = can(regex("^[!#-\\[\\]-~]*$", var.scope_prefix))
    error_message = "Use characters that a scope may have (RFC 6749, section 3.3)."
  }
}

variable "caller_claim" {
  description = "Claim of callers' JWTs that names the caller; JWTs without it are refused."
  type        = string
  default     = "sub"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.:/-]{1,64}$", var.caller_claim))
    error_message = "Give a claim's name, such as sub or client_id."
  }
}

variable "allow_anonymous" {
  description = "DANGER: anybody who reaches the gateway may store records for every allowed target, process and replay."
  type        = bool
  default     = false
}

variable "caller_header" {
  description = "Header of the caller's own token; Authorization is the target's."
  type        = string
  default     = "X-API-Key"

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,64}$", var.caller_header)) && !contains(["authorization", "x-datasync-caller", "x-datasync-role"], lower(var.caller_header))
    error_message = "Name a header other than Authorization, X-Datasync-Caller and X-Datasync-Role."
  }
}

variable "path_prefix" {
  description = "Path before /store and /process in the URL, such as /jsondb; / for none."
  type        = string
  default     = "/"

  validation {
    condition     = var.path_prefix == "/" || can(regex("^(/[A-Za-z0-9][A-Za-z0-9_.-]*)+$", var.path_prefix))
    error_message = "Give / or a path of letters, digits, hyphens, underscores and dots, such as /jsondb or /integration/v1."
  }
}

variable "rate_limit" {
  description = "Requests per second of one client address."
  type        = number
  default     = 50

  validation {
    condition     = var.rate_limit >= 1 && floor(var.rate_limit) == var.rate_limit
    error_message = "Give a whole number from 1."
  }
}

# What the functions do

variable "allowed_targets" {
  description = "Hosts that records may be sent to: host, host:port, *.example.com, http://host."
  type        = list(string)

  validation {
    condition = length(var.allowed_targets) > 0 && alltrue([for target in var.allowed_targets :
      can(regex("^(https?://)?(\\*\\.)?[A-Za-z0-9_.:\\[\\]-]+$", target)) &&
      try(tonumber(regex(":([0-9]+)$", target)[0]), 443) >= 1 && try(tonumber(regex(":([0-9]+)$", target)[0]), 443) <= 65535
    ])
    error_message = "Give hosts such as erp.example.com, erp.example.com:8443, *.example.com or http://10.0.0.7:8080."
  }
}

variable "settings" {
  description = "Further settings of the functions (docs/settings.md), such as RETRY_LIMIT=5."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([for setting in var.settings : contains([
      "ALLOWED_NETWORKS", "CONNECTOR_HUB_SECRETS", "RETRY_CODES", "RETRY_LIMIT", "RETRY_BACKOFF", "ERROR_MAPPING",
      "MESSAGES_PER_CALL", "MESSAGES_PER_CALL_MAX", "CONCURRENCY", "CONCURRENCY_PER_TARGET", "TARGET_CONNECT_TIMEOUT",
      "TARGET_READ_TIMEOUT", "ANSWER_LIMIT", "LEASE", "FAN_OUT", "BODY_LIMIT", "COLLECTION", "SECRET_PREFIX", "OCI_SERVICE_ENDPOINT",
      "NOTIFICATION_INTERVAL", "EXPIRE_AFTER", "SECRETS_UNUSED_AFTER", "LOG_LEVEL", "SHOW_PAYLOADS",
    ], split("=", setting)[0]) && strcontains(setting, "=")])
    error_message = "Give NAME=value, with a setting that this configuration does not write itself."
  }

  validation {
    condition = alltrue([for setting in var.settings : !startswith(setting, "SECRET_PREFIX=") || (
      can(regex("^SECRET_PREFIX=[A-Za-z0-9_.-]{1,50}$", setting)) && !startswith("database-", trimprefix(setting, "SECRET_PREFIX="))
    )])
    error_message = "SECRET_PREFIX has 1 to 50 letters, digits, hyphens, underscores or dots, and does not lead to database-..., as system secrets are called."
  }
}

variable "signing_secret_ocid" {
  description = "A secret of this compartment, with the keys that sign each delivery (Standard Webhooks); null signs none."
  type        = string
  default     = null

  validation {
    condition     = var.signing_secret_ocid == null || can(regex("^ocid1\\.vaultsecret\\.", var.signing_secret_ocid))
    error_message = "Give an OCID that begins with ocid1.vaultsecret, or null."
  }
}

variable "store_data_memory_in_mbs" {
  description = "Memory of store-data: 128, 256, 512, 1024, 2048 or 3072."
  type        = number
  default     = 256

  validation {
    condition     = contains([128, 256, 512, 1024, 2048, 3072], var.store_data_memory_in_mbs)
    error_message = "One of 128, 256, 512, 1024, 2048, 3072."
  }
}

variable "process_data_memory_in_mbs" {
  description = "Memory of process-data: 128, 256, 512, 1024, 2048 or 3072."
  type        = number
  default     = 512

  validation {
    condition     = contains([128, 256, 512, 1024, 2048, 3072], var.process_data_memory_in_mbs)
    error_message = "One of 128, 256, 512, 1024, 2048, 3072."
  }
}

variable "warm_stores" {
  description = "store-data functions kept warm (provisioned concurrency), paid by the hour: with 256 MB a multiple of 20; 0 starts them on demand."
  type        = number
  default     = 0

  validation {
    condition     = var.warm_stores >= 0 && var.warm_stores % 10 == 0
    error_message = "Give 0, or a multiple of 10 (of 20 with 256 MB, of 40 with 128 MB)."
  }
}

variable "shape" {
  description = "Processors that the images are built for; for GENERIC_ARM build them with PLATFORM=linux/arm64."
  type        = string
  default     = "GENERIC_X86"

  validation {
    condition     = contains(["GENERIC_X86", "GENERIC_ARM"], var.shape)
    error_message = "One of GENERIC_X86, GENERIC_ARM."
  }
}

# Vaults

variable "tokens_vault_ocid" {
  description = "An existing vault of this compartment, for callers' tokens; null makes one. With it, tokens_key_ocid is needed."
  type        = string
  default     = null

  validation {
    condition     = var.tokens_vault_ocid == null || can(regex("^ocid1\\.vault\\.", var.tokens_vault_ocid))
    error_message = "Give an OCID that begins with ocid1.vault, or null."
  }
}

variable "tokens_key_ocid" {
  description = "An existing AES key of this compartment, in tokens_vault_ocid."
  type        = string
  default     = null

  validation {
    condition     = var.tokens_key_ocid == null || can(regex("^ocid1\\.key\\.", var.tokens_key_ocid))
    error_message = "Give an OCID that begins with ocid1.key, or null."
  }
}

variable "system_vault_ocid" {
  description = "Another existing vault of this compartment, for the database's passwords; null makes one. With it, system_key_ocid is needed."
  type        = string
  default     = null

  validation {
    condition     = var.system_vault_ocid == null || can(regex("^ocid1\\.vault\\.", var.system_vault_ocid))
    error_message = "Give an OCID that begins with ocid1.vault, or null."
  }
}

variable "system_key_ocid" {
  description = "An existing AES key of this compartment, in system_vault_ocid; it encrypts the archive, too."
  type        = string
  default     = null

  validation {
    condition     = var.system_key_ocid == null || can(regex("^ocid1\\.key\\.", var.system_key_ocid))
    error_message = "Give an OCID that begins with ocid1.key, or null."
  }
}

variable "vault_type" {
  description = "Type of the vaults when they are made: DEFAULT, or VIRTUAL_PRIVATE, which is paid by the hour and can rotate its keys."
  type        = string
  default     = "DEFAULT"

  validation {
    condition     = contains(["DEFAULT", "VIRTUAL_PRIVATE"], var.vault_type)
    error_message = "One of DEFAULT, VIRTUAL_PRIVATE."
  }
}

variable "key_rotation_days" {
  description = "Days after which the keys that are made are rotated, 60 to 365; null never. Only in vaults of type VIRTUAL_PRIVATE: a key of a DEFAULT vault is rotated by hand."
  type        = number
  default     = null

  validation {
    condition     = var.key_rotation_days == null || try(var.key_rotation_days >= 60 && var.key_rotation_days <= 365 && floor(var.key_rotation_days) == var.key_rotation_days, false)
    error_message = "Give 60 to 365 days, or null."
  }
}

# Database

variable "database_ocid" {
  description = "An existing Autonomous Database that takes connections by TLS without a wallet; null makes one. With it, database_admin_secret_ocid is needed."
  type        = string
  default     = null

  validation {
    condition     = var.database_ocid == null || can(regex("^ocid1\\.autonomousdatabase\\.", var.database_ocid))
    error_message = "Give an OCID that begins with ocid1.autonomousdatabase, or null."
  }
}

variable "database_admin_secret_ocid" {
  description = "A secret of this compartment with the password of ADMIN in database_ocid, which process-data reads once, to make its schema user."
  type        = string
  default     = null

  validation {
    condition     = var.database_admin_secret_ocid == null || can(regex("^ocid1\\.vaultsecret\\.", var.database_admin_secret_ocid))
    error_message = "Give an OCID that begins with ocid1.vaultsecret, or null."
  }
}

variable "database_user" {
  description = "The schema user that is made: one for each deployment that shares a database."
  type        = string
  default     = "DATASYNC"

  validation {
    condition     = can(regex("^[A-Z][A-Z0-9_]{0,29}$", var.database_user)) && !contains(["ADMIN", "SYS", "SYSTEM"], var.database_user)
    error_message = "Use up to 30 capitals, digits and underscores, a letter first; not ADMIN, SYS or SYSTEM."
  }
}

variable "database_version" {
  description = "Version of the database when it is made: 23ai or later."
  type        = string
  default     = "23ai"

  validation {
    condition     = can(regex("^(2[3-9]|[3-9][0-9])ai$", var.database_version))
    error_message = "Give 23ai or a later one."
  }
}

variable "database_ecpus" {
  description = "ECPUs of the database, from 2."
  type        = number
  default     = 2

  validation {
    condition     = var.database_ecpus >= 2 && floor(var.database_ecpus) == var.database_ecpus
    error_message = "Give a whole number from 2."
  }
}

variable "database_storage_gb" {
  description = "Storage of the database in GB, from 20."
  type        = number
  default     = 20

  validation {
    condition     = var.database_storage_gb >= 20 && floor(var.database_storage_gb) == var.database_storage_gb
    error_message = "Give a whole number from 20."
  }
}

variable "database_auto_scaling" {
  description = "Whether the database takes up to three times its ECPUs under load, and costs so much more meanwhile."
  type        = bool
  default     = false
}

# When, how long, and who is notified

variable "process_every_minute" {
  description = "Whether process-data is called every minute, by an alarm that always fires; else every hour, by Resource Scheduler."
  type        = bool
  default     = true
}

variable "archive_after_days" {
  description = "Days after which finished and dead records leave the database for the archive."
  type        = number
  default     = 30

  validation {
    condition     = var.archive_after_days >= 1 && var.archive_after_days <= 365 && floor(var.archive_after_days) == var.archive_after_days
    error_message = "Give 1 to 365 days."
  }
}

variable "archive_cold_after_days" {
  description = "Days after which archived objects move to Archive Storage, which is cheaper and takes hours to read."
  type        = number
  default     = 30

  validation {
    condition     = var.archive_cold_after_days >= 1 && var.archive_cold_after_days <= 3650 && floor(var.archive_cold_after_days) == var.archive_cold_after_days
    error_message = "Give 1 to 3650 days."
  }
}

variable "archive_delete_after_days" {
  description = "Days after which archived objects are deleted; null keeps them."
  type        = number
  default     = null

  validation {
    condition     = var.archive_delete_after_days == null || (coalesce(var.archive_delete_after_days, 0) >= 1 && floor(coalesce(var.archive_delete_after_days, 0)) == coalesce(var.archive_delete_after_days, 0))
    error_message = "Give a whole number of days from 1, or null."
  }
}

variable "alarm_failures" {
  description = "Failed attempts in 15 minutes beyond which operators are alarmed."
  type        = number
  default     = 100

  validation {
    condition     = var.alarm_failures >= 0 && var.alarm_failures <= 1000000 && floor(var.alarm_failures) == var.alarm_failures
    error_message = "Give a whole number from 0."
  }
}

variable "alarm_due_minutes" {
  description = "Minutes for which the oldest due record may wait before operators are alarmed."
  type        = number
  default     = 30

  validation {
    condition     = var.alarm_due_minutes >= 1 && var.alarm_due_minutes <= 10080 && floor(var.alarm_due_minutes) == var.alarm_due_minutes
    error_message = "Give 1 to 10080 minutes."
  }
}

variable "notification_emails" {
  description = "Addresses that alarms are sent to; each confirms its subscription once."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.notification_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "Give e-mail addresses."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept: 30, 60, 90, 120, 150 or 180."
  type        = number
  default     = 30

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180], var.log_retention_days)
    error_message = "One of 30, 60, 90, 120, 150, 180."
  }
}

variable "tracing" {
  description = "Whether calls are traced, in an APM domain that is made for it, and their traces go on to the targets."
  type        = bool
  default     = false
}

variable "stream_ocid" {
  description = "An existing Stream of this compartment, whose messages Connector Hub hands to store-data; null for none but that of stream_partitions."
  type        = string
  default     = null

  validation {
    condition     = var.stream_ocid == null || can(regex("^ocid1\\.stream\\.", var.stream_ocid))
    error_message = "Give an OCID that begins with ocid1.stream, or null."
  }
}

variable "stream_partitions" {
  description = "Partitions of a Stream that is made, and whose messages Connector Hub hands to store-data; 0 makes none."
  type        = number
  default     = 0

  validation {
    condition     = contains(range(0, 101), var.stream_partitions)
    error_message = "Give a whole number from 0 to 100."
  }
}
