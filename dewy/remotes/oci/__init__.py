"""Image registries with the API of the OCI Distribution Specification."""
