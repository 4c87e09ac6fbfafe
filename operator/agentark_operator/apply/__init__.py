"""Carries out decisions in the cluster."""
