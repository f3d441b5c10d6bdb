"""Tests of bindings/generate."""
