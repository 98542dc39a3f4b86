"""What tests of spaces, ops and strategies are built on: generators of spaces, conformance suites."""
