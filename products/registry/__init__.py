"""The register of products: evidence, application, review, public notice, code; then the state of the service."""
