output "url" {
  description = "Where callers reach /store, /process and /process/retry."
  value       = "${trimsuffix(oci_apigateway_deployment.this.endpoint, "/")}${trimsuffix(var.path_prefix, "/")}"
}

output "callers" {
  description = "Who may call."
  value       = var.allow_anonymous ? "ANYBODY: allow_anonymous is set" : "callers with a JWT in ${var.caller_header}"
}

output "repositories" {
  description = "Where the images are pushed to, by function."
  value       = local.repositories
}

output "database" {
  description = "What the script for the schema user needs: the database, and the secrets of the passwords."
  value = {
    ocid                  = local.database
    dsn                   = local.database_dsn
    admin_password_secret = local.admin_password_secret
    user_password_secret  = oci_vault_secret.password["schema"].id
  }
}

output "tokens_vault" {
  description = "The vault of the targets' tokens, in which operators rotate them."
  value       = local.vaults["tokens"]
}

output "functions_group" {
  description = "The network security group of the functions: an existing database must let it in, at port 1521."
  value       = local.groups["functions"]
}

output "process_function" {
  description = "The function to invoke from another schedule."
  value       = oci_functions_function.this["process-data"].id
}

output "archive_bucket" {
  description = "The bucket of archived records."
  value       = oci_objectstorage_bucket.archive.name
}

output "region" {
  description = "Where all this is."
  value       = var.region
}
