"""The operator: custom resources of agentark.dev become Kubernetes objects, and their state becomes a status."""
